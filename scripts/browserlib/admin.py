"""The admin page: what is asked of the proxy is counted there, and a backend that is stopped is seen to be down.

The page marks what can be looked for: `data-backend="ADDRESS"` at or around `data-state="up"`, `#requests`, `#errors`.
"""

import http.client
import re
import time

from showlib.fleet import Fleet
from showlib.processes import Footbridge
from showlib.report import Trouble

from .browser import wait_for
from .looks import check_console, check_looks, check_page

REQUESTS = 30
# Of how the page says why a backend is down: the reason word, or a sentence.
REASON = r"refused|connect-failed|reset|closed|timed[ -]out"


def show(stage, browser):
    report = stage.report
    report.part("admin", "the admin page while backends come and go")
    flags = ("--admin", "127.0.0.1:0", "--balance", "round-robin", "--set", "backends.fail_timeout=1s")
    with Fleet(3) as fleet, Footbridge(stage.program, fleet.addresses, *flags) as proxy:
        names = [f"{host}:{port}" for host, port in fleet.addresses]
        browser.open(_page(proxy))
        wait_for("all backends up", lambda: states(browser) == dict.fromkeys(names, "up"))
        report.check("backends, and their states", True, states(browser), "three, up")
        check_page(browser, report)
        _count(browser, report, proxy)
        check_looks(browser, report, "admin", stage.screenshots)
        _stop(browser, stage, proxy, fleet, names)
        check_console(browser, report)
        browser.open("about:blank")
    report.end_part()


def _page(proxy):
    """The page's address, from the log."""
    found = wait_for("the log to say where the admin page is",
                     lambda: re.search(r"admin page on (http://[^/\s]+/)", proxy.log()))
    return found[1]


def states(browser):
    """{address: state} of the backends that the page shows."""
    return dict(browser.script("""return [...document.querySelectorAll("[data-backend]")].map((element) => {
        const state = element.matches("[data-state]") ? element : element.querySelector("[data-state]");
        return [element.dataset.backend, state && state.dataset.state];
    });"""))


def three(browser):
    """The states, once there are three of them."""
    found = states(browser)
    return found if len(found) == 3 else None


def requests(browser):
    """The number of requests that the page shows."""
    text = browser.text("#requests")
    if text is None:
        raise Trouble("the page has no #requests")
    digits = re.sub(r"\D", "", text)
    return int(digits) if digits else 0


def _count(browser, report, proxy):
    before = requests(browser)
    answers = _ask(proxy, REQUESTS)
    wait_for("the requests to be counted", lambda: requests(browser) >= before + REQUESTS)
    report.check(f"{REQUESTS} requests are counted as they come", set(answers) == {200},
                 f"{before} -> {requests(browser)}",
                 f"{before + REQUESTS}, without loading the page again")


def _ask(proxy, number):
    """The status of each answer."""
    found = []
    for _ in range(number):
        connection = http.client.HTTPConnection(*proxy.address, timeout=10)
        connection.request("GET", "/content?n=10&seed=1")
        response = connection.getresponse()
        response.read()
        found.append(response.status)
        connection.close()
    return found


def _stop(browser, stage, proxy, fleet, names):
    """A backend is killed, then started again; the page is left alone meanwhile."""
    report, victim = stage.report, names[1]
    fleet.kill(1)
    killed = time.monotonic()
    answers = []

    def is_down():
        answers.extend(_ask(proxy, 3))
        return states(browser).get(victim) == "down"
    wait_for(f"{victim} to be down", is_down, 15)
    took = time.monotonic() - killed
    report.check("a backend was killed: the page shows it down", set(answers) == {200},
                 f"after {took:.1f} s; {len(answers)} requests, all answered with 200", "within 15 s, no request lost")
    others = {name: state for name, state in states(browser).items() if name != victim}
    report.check("the others", set(others.values()) == {"up"}, others, "up")
    why = wait_for("a reason on the page", lambda: _reason(browser, victim))
    report.check("why it is down", True, why, "a reason, in its row or among the last errors")
    check_looks(browser, report, "admin-down", stage.screenshots)
    fleet.start(1)

    def is_up():
        _ask(proxy, 3)
        return states(browser).get(victim) == "up"
    wait_for(f"{victim} to be up again", is_up, 20)
    report.check("it was started again: the page shows it up", True, states(browser)[victim], "up")


def _reason(browser, victim):
    """What the page says of the backend or of the last errors, if there is a reason in it."""
    texts = browser.script("""return [...document.querySelectorAll("[data-backend], #errors")]
        .filter((element) => element.id === "errors" || element.dataset.backend === arguments[0])
        .map((element) => element.innerText);""", victim)
    found = [re.search(rf"[^\n\t]*({REASON})[^\n\t]*", text, re.IGNORECASE) for text in texts]
    return next((each[0].strip() for each in found if each), None)
