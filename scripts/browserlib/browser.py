"""A headless Chromium, driven through chromedriver's WebDriver protocol (W3C WebDriver, and Chromium's additions).

Everything it starts is in a process group of its own, which is ended with the block; its profile is a folder that is
removed then.
"""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from showlib.processes import end_with_parent
from showlib.report import Trouble

DESKTOP = (1280, 900)
PHONE = (390, 844)
# A command that takes longer than this has hung.
PATIENCE = 30


def programs():
    """Where chromium and its driver are, as {name: path or None}."""
    return {"chromium": shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome"),
            "chromedriver": shutil.which("chromedriver")}


class Browser:
    """One window. What Chromium refuses raises Trouble."""

    def __init__(self, chromium, chromedriver):
        self._chromium, self._driver = chromium, chromedriver
        self._session = None

    def __enter__(self):
        self._folder = tempfile.mkdtemp(prefix="browser-test-")
        self._process = subprocess.Popen(
            [self._driver, "--port=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": self._folder, "TMPDIR": self._folder},
            start_new_session=True, preexec_fn=end_with_parent)
        try:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=PATIENCE)
            self._session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": self._wishes()}})["sessionId"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            if self._session:
                self._call("DELETE", f"/session/{self._session}")
        except (Trouble, OSError, http.client.HTTPException):
            pass  # it is ended below
        try:
            # Its whole group: chromedriver, and what a browser left behind that did not close in time.
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        self._process.stdout.close()
        # A process of Chromium may still write there for a moment.
        shutil.rmtree(self._folder, ignore_errors=True)

    def _port(self):
        # It says so in one of its first lines, and says nothing more after that.
        for line in self._process.stdout:
            found = re.search(rb"started successfully on port (\d+)", line)
            if found:
                return int(found[1])
        raise Trouble("chromedriver does not start")

    def _wishes(self):
        flags = ["--headless=new", f"--user-data-dir={self._folder}/profile", "--no-first-run",
                 # As root in a container there is no other way; all pages are our own, on loopback.
                 "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                 # It speaks to nobody but us.
                 "--no-proxy-server", "--disable-background-networking", "--disable-component-update",
                 "--window-size=%d,%d" % DESKTOP]
        return {"browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"},
                "goog:chromeOptions": {"binary": self._chromium, "args": flags}}

    def open(self, url):
        """Returns when the page has loaded."""
        self._command("POST", "/url", {"url": url})

    def script(self, body, *arguments):
        """What the page's JavaScript returns."""
        return self._command("POST", "/execute/sync", {"script": body, "args": arguments})

    def text(self, selector):
        """The text of the first element, or None if there is none."""
        return self.script("const e = document.querySelector(arguments[0]); return e && e.textContent.trim();", selector)

    def count(self, selector):
        """How many elements there are."""
        return self.script("return document.querySelectorAll(arguments[0]).length;", selector)

    def click(self, selector):
        """As a person does: it scrolls there, and fails if something lies above."""
        element = self._command("POST", "/element", {"using": "css selector", "value": selector})
        self._command("POST", f"/element/{next(iter(element.values()))}/click", {})

    def keys(self, *keys):
        """Presses them, one after the other, wherever the focus is. Special keys have code points of WebDriver's."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._command("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def console(self):
        """What came on the console since the last call: [(level, source, message)]."""
        entries = self._command("POST", "/se/log", {"type": "browser"})
        return [(entry["level"], entry["source"], entry["message"]) for entry in entries]

    def devtools(self, command, **parameters):
        """A command of the Chrome DevTools protocol."""
        return self._command("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def scheme(self, name):
        """Light or dark, as the person's system would have it."""
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def size(self, width, height, phone=False):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, mobile=phone,
                      deviceScaleFactor=2 if phone else 1)

    def screenshot(self, path):
        """The whole page, below the fold too, as PNG."""
        content = self.devtools("Page.getLayoutMetrics")["cssContentSize"]
        data = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                             clip={"x": 0, "y": 0, "width": content["width"], "height": content["height"], "scale": 1})
        path.write_bytes(base64.b64decode(data["data"]))

    def _command(self, method, path, body=None):
        return self._call(method, f"/session/{self._session}{path}", body)

    def _call(self, method, path, body=None):
        self._connection.request(method, path, None if body is None else json.dumps(body),
                                 {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        value = json.loads(response.read())["value"]
        if response.status != 200:
            raise Trouble(f"chromedriver, {path.rpartition('/')[2]}: {value['message'].splitlines()[0]}")
        return value


def wait_for(what, find, seconds=10):
    """What `find` returns as soon as that is true; Trouble after that time."""
    deadline = time.monotonic() + seconds
    while True:
        found = find()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Trouble(f"waited {seconds} s for {what}")
        time.sleep(0.05)
