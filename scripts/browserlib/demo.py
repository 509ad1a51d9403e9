"""The page of `footbridge demo`: its buttons, its stream, and what it shows of the backends."""

import os
import re
import select
import signal
import subprocess

from showlib.processes import end_with_parent
from showlib.report import Trouble

from . import admin
from .browser import wait_for
from .looks import check_console, check_looks, check_page

BACKENDS = {"steady", "slow", "shaky"}
# One of shaky's answers in eight is a 500, and Chromium says so on the console.
SHAKY = r"/hello - Failed to load resource: the server responded with a status of 500"
TAB, ENTER = "\ue004", "\ue007"


class Demo:
    """The demo as a process of its own; `url` and `admin` (None if it has none) are what it printed."""

    def __init__(self, program):
        self._command = [program, "demo", "--listen", "127.0.0.1:0"]

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         start_new_session=True, preexec_fn=end_with_parent)
        self._printed = b""
        try:
            # The last line of what to try; after it come the access lines only.
            wait_for("the demo to say where it is", lambda: b"Each exchange" in self._read())
        except BaseException:
            self.__exit__()
            raise
        self.url = self._find(r"listening on (http://[^/\s]+/)")
        self.admin = self._find(r"admin page (?:on |at |is )?(http://[^/\s]+/)")
        return self

    def _read(self):
        """All that it printed so far; waits for more, but not long."""
        if select.select([self._process.stdout], [], [], 0.1)[0]:
            self._printed += os.read(self._process.stdout.fileno(), 65536)
        if self._process.poll() is not None:
            raise Trouble(f"the demo ended with {self._process.returncode}")
        return self._printed

    def _find(self, pattern):
        found = re.search(pattern, self._printed.decode())
        return found and found[1]

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def interrupt(self):
        """Its exit code after Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            raise Trouble("the demo still runs 10 s after INT") from None
        return self._process.returncode


def show(stage, browser):
    report = stage.report
    report.part("demo", "the page of footbridge demo, as a person uses it")
    with Demo(stage.program) as demo:
        browser.open(demo.url)
        check_page(browser, report)
        _send(browser, report)
        _send_by_keyboard(browser, report)
        _stream(browser, report)
        check_looks(browser, report, "demo", stage.screenshots)
        check_console(browser, report, SHAKY)
        if demo.admin:
            _admin(demo, stage, browser)
        else:
            report.skip("the demo's admin page", "the demo prints no line with 'admin page http://'")
        # Not a page that asks a demo which has ended.
        browser.open("about:blank")
        code = demo.interrupt()
        report.check("the demo's exit code after Ctrl-C", code == 0, code, "0")
    report.end_part()


def _send(browser, report):
    """The first request, then twenty at a time until each backend was seen."""
    browser.click("#one")
    said = _summary(browser, r"^Answered|^One failed")
    report.check("one request, by a click", browser.count("#answers tr") == 1, said, "one answer")
    # That one of three is not among sixty happens once in ten thousand million times.
    for sent in (21, 41, 61):
        browser.click("#twenty")
        said = _summary(browser, rf"{sent} sent in all")
        seen = _tally(browser)
        if len(seen) == len(BACKENDS):
            break
    report.check("requests, twenty at a time", browser.count("#answers tr") == 20, browser.count("#answers tr"),
                 "the last 20 are listed")
    good = browser.count("#answers td.good")
    report.check("the summary of these", said.startswith(f"{good} of 20 answered"), said, f"{good} of 20, as in the list")
    report.check("backends seen", set(seen) == BACKENDS, seen, "all three, and nobody else")
    report.check("answers counted", sum(seen.values()) == sent, sum(seen.values()), f"{sent}, as many as sent")


def _summary(browser, pattern):
    def said():
        text = browser.text("#summary")
        return text if re.search(pattern, text) else None
    return wait_for(f"the summary {pattern!r}", said, 15)


def _tally(browser):
    """How often each backend answered, those that did."""
    rows = browser.script("""return [...document.querySelectorAll("#tally tr")]
        .map((row) => [row.cells[0].textContent, Number(row.cells[2].textContent)]);""")
    return {name: count for name, count in rows if count}


def _send_by_keyboard(browser, report):
    """No mouse: from the page's beginning, Tab reaches a button, Enter presses it."""
    before = sum(_tally(browser).values())
    browser.script("document.activeElement.blur(); window.getSelection().removeAllRanges(); window.scrollTo(0, 0);")
    reached = []
    while "one" not in reached and len(reached) < 10:
        browser.keys(TAB)
        reached.append(browser.script("return document.activeElement.id;"))
    browser.keys(ENTER)
    wait_for("an answer after Enter", lambda: sum(_tally(browser).values()) == before + 1)
    report.check("one request, by keyboard", True, f"Tab {len(reached)} times, Enter", "an answer")


def _stream(browser, report):
    browser.click("#stream")
    wait_for("two events", lambda: browser.count("#events li") >= 2)
    pressed = browser.script("return document.getElementById('stream').getAttribute('aria-pressed');")
    report.check("events while the stream is open", pressed == "true", browser.text("#events li"), "one a second")
    browser.click("#stream")
    said = wait_for("the stream to be closed", lambda: browser.text("#stream-state") == "Closed.")
    report.check("the stream closes", said, browser.text("#stream-state"), "Closed.")


def _admin(demo, stage, browser):
    """The demo's own admin page: the three backends, and what was asked above."""
    browser.open(demo.admin)
    rows = wait_for("three backends on the admin page", lambda: admin.three(browser))
    stage.report.check("backends on the demo's admin page", len(rows) == 3, rows, "three")
    count = admin.requests(browser)
    stage.report.check("requests that it counts", count >= 20, count, "those of the demo's page")
    check_looks(browser, stage.report, "demo-admin", stage.screenshots)
    check_console(browser, stage.report)
