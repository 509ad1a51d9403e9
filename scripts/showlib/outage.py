"""All backends down: each request is told so at once, nothing grows, and it is over when the first is back."""

import collections
import time

from . import load
from .fleet import Fleet
from .processes import Peer, memory_of, threads_of
from .report import Trouble, mebibytes, milliseconds, percentile

BACKENDS = 3
CLIENTS = 16
THINK = 0.005, 0.03
ANSWERED = 0.05
RECOVERED = 1.0
#: From the moment of the outage: what is needed for it has been allocated then, and each backend been found out.
SETTLED = 5.0
#: A stack or two that are deeper than before.
GROWTH = 128 * 1024


def show(stage):
    seconds = stage.size(60, 10)
    stage.report.part("outage", f"all {BACKENDS} backends down for {seconds} s under {CLIENTS} clients")
    with Fleet(BACKENDS) as fleet, stage.footbridge(fleet.addresses) as bridge, \
            Peer(load.visitors, bridge.address, CLIENTS, THINK) as clients:
        clients.receive()
        time.sleep(2)
        for which in range(BACKENDS):
            fleet.kill(which)
        down = time.monotonic()
        sizes = _watch(bridge.pid, down, seconds)
        before = time.monotonic()
        fleet.start(1)
        back = time.monotonic()
        time.sleep(stage.within(RECOVERED) + 2)
        clients.send("end")
        done = clients.receive(load.PATIENCE + 20)
        bridge.check_log(stage.report)
    _check_answers(stage, [each for each in done if down <= each.began < before - 0.1], down)
    _check_growth(stage, sizes, down)
    _check_return(stage, done, back)
    stage.report.end_part()


def _watch(pid, began, seconds):
    """[(when, own memory, threads), ...], a quarter of a second apart."""
    found = []
    while time.monotonic() < began + seconds:
        found.append((time.monotonic(), memory_of(pid, "Pss_Anon"), threads_of(pid)))
        time.sleep(0.25)
    return found


def _check_answers(stage, done, down):
    if not done:
        raise Trouble("no request was made during the outage")
    wrong = [each for each in done if each.status not in (502, 503)]
    stage.report.check("answered with 503, or 502 at first", not wrong, f"{len(done) - len(wrong):,} of {len(done):,}",
                       "all")
    load.explain(stage.report, wrong)
    times = [each.took for each in done]
    bound = stage.within(ANSWERED)
    stage.report.check("time to the answer", max(times) <= bound, f"max {milliseconds(max(times))}, p99 "
                       f"{milliseconds(percentile(times, .99))}", f"within {milliseconds(bound)}")
    statuses = collections.Counter(each.status for each in done)
    later = [each for each in done if each.began > down + SETTLED]
    found_out = sum(each.status == 502 for each in later)
    stage.report.note(f"{statuses[503]:,} times 503, {statuses[502]:,} times 502")
    stage.report.check(f"502 after {SETTLED:g} s", found_out <= len(later) / 100, f"{found_out} of {len(later):,}",
                       "at most 1 %: who tries whether a backend is back")


def _check_growth(stage, sizes, down):
    early = [each for each in sizes if each[0] <= down + SETTLED]
    late = [each for each in sizes if each[0] > down + SETTLED]
    for what, place, show_size, slack in [("memory of its own", 1, mebibytes, GROWTH), ("threads", 2, str, 0)]:
        before, after = max(each[place] for each in early), max(each[place] for each in late)
        stage.report.check(f"{what} after {SETTLED:g} s", after <= before + slack, f"at most {show_size(after)}, "
                           f"{show_size(before)} before", f"no growth (beyond {show_size(slack)})")


def _check_return(stage, done, back):
    answered = [each.began + each.took for each in done if each.status == 200 and each.began + each.took > back]
    if not answered:
        raise Trouble("no request was answered with 200 after the return")
    bound = stage.within(RECOVERED)
    stage.report.check("traffic after one of them is back", min(answered) - back <= bound,
                       f"the first 200 {min(answered) - back:.2f} s later", f"within {bound:g} s")
    failed = load.failures([each for each in done if each.began > back + bound])
    stage.report.check("requests that failed after that", not failed, len(failed), "none")
    load.explain(stage.report, failed)
