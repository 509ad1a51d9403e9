"""One backend killed and one frozen, again and again: no GET fails, no POST is executed twice or lost.

Of three backends the first gets SIGKILL every 5 s and is back 1.5 s later, the second SIGSTOP for 4 s at a time.
A POST that was answered with 200 must stand in exactly one backend's journal, once; one that was answered with an
error may stand there once or not at all, since nobody can know; one without any answer is a failure.
"""

import tempfile
import time

from . import load
from .fleet import Fleet
from .processes import Peer
from .report import Trouble, milliseconds, percentile

CLIENTS = 200
THINK = 0.04, 0.12
POSTS = 0.3
#: Seconds of work on each request, and on how many at once: so a kill finds some that are executed and not answered.
SERVICE = 0.015, CLIENTS
KILL_EVERY, DOWN = 5.0, 1.5
FREEZE_EVERY, FROZEN = 6.0, 4.0

#: fail_timeout is short so that the killed backend is trusted again before it is killed next.
SETTINGS = ["--set", "backends.fail_timeout=1s", "--set", "backends.slow_start=1s"]


def show(stage):
    seconds = stage.size(60, 13)
    stage.report.part("chaos", f"one of three backends killed every {KILL_EVERY:g} s, one frozen for {FROZEN:g} s at a "
                               f"time, {CLIENTS} keep-alive connections, {seconds} s")
    with tempfile.TemporaryDirectory() as journals, Fleet(3, journals, [SERVICE] * 3) as fleet, \
            stage.footbridge(fleet.addresses, *SETTINGS) as bridge, \
            Peer(load.visitors, bridge.address, CLIENTS, THINK, POSTS) as clients:
        clients.receive()
        _play(fleet, time.monotonic() + seconds)
        clients.send("end")
        done = clients.receive(load.PATIENCE + 20)
        bridge.check_log(stage.report)
        _check_gets(stage, [each for each in done if not each.identity])
        _check_posts(stage, [each for each in done if each.identity], fleet.executed())
    stage.report.end_part()


def _play(fleet, end):
    """Kills and freezes until that time, then sets everything right again."""
    now = time.monotonic()
    acts = [(now + 1, fleet.kill, 0, KILL_EVERY), (now + 1 + DOWN, fleet.start, 0, KILL_EVERY),
            (now + 1.5, fleet.freeze, 1, FREEZE_EVERY), (now + 1.5 + FROZEN, fleet.thaw, 1, FREEZE_EVERY)]
    while True:
        acts.sort(key=lambda act: act[0])
        when, act, which, again = acts.pop(0)
        if when > end:
            break
        time.sleep(max(0.0, when - time.monotonic()))
        act(which)
        acts.append((when + again, act, which, again))
    time.sleep(max(0.0, end - time.monotonic()))
    fleet.thaw(1)
    fleet.kill(0)
    fleet.start(0)


def _check_gets(stage, gets):
    if not gets:
        raise Trouble("no GET was made")
    failed = load.failures(gets)
    stage.report.check("GETs that failed", not failed, f"{len(failed)} of {len(gets):,}", "none")
    load.explain(stage.report, failed)
    times = [each.took for each in gets]
    stage.report.note(f"GETs took {milliseconds(percentile(times, .5))} in the median, p99 "
                      f"{milliseconds(percentile(times, .99))}, the slowest {milliseconds(max(times))}")
    shares = [f"{sum(each.backend == which for each in gets) / len(gets):.0%}" for which in "012"]
    stage.report.note(f"answered by the killed, the frozen and the third backend: {', '.join(shares)}")


def _check_posts(stage, posts, executed):
    good = [each for each in posts if each.status == 200 and not each.detail]
    refused = [each for each in posts if each.status >= 400]
    lost = sum(executed[each.identity] == 0 for each in good)
    twice = sum(times > 1 for times in executed.values())
    silent = [each for each in load.failures(posts) if each.status < 400]
    strange = len(set(executed) - {each.identity for each in posts})
    stage.report.check("POSTs executed twice", posts and not twice, f"{twice} of {len(posts):,}", "none")
    stage.report.check("POSTs answered with 200 and not executed", good and not lost, f"{lost} of {len(good):,}",
                       "none")
    stage.report.check("POSTs without a true answer", not silent, f"{len(silent)} of {len(posts):,}", "none")
    load.explain(stage.report, silent)
    if strange:
        stage.report.check("POSTs executed that nobody sent", False, strange, "none")
    ran = sum(executed[each.identity] == 1 for each in refused)
    stage.report.note(f"{len(refused)} POSTs were answered with an error; {ran} of those had been executed, once")
