"""A backend that died and came back: how soon it is used again, and how its share rises.

Four backends, GETs at a steady rate. Passive health alone: a fail_timeout of 2 s. The first run is
with next to no slow_start and says when the first request after the return came; the second has a slow_start of 5 s and looks
at windows of half a second, counted from that first request: the share must not exceed what a straight line from
nothing to a quarter of all allows, and what chance adds to that (three standard deviations).
"""

import math
import time

from . import load
from .fleet import Fleet
from .processes import Peer
from .report import Trouble

BACKENDS = 4
RATE = 400
FAIL_TIMEOUT = 2.0
SLOW_START = 5.0
WINDOW = 0.5
VICTIM = 0
#: Down for so long, it is out for so long after that at most: tried and found dead after 2 s and after 4 s more, it is
#: out for twice as long each time, until 14 s after its death.
DOWN_LONG = 7.0, 7.0


def show(stage):
    stage.report.part("recovery", f"one of {BACKENDS} backends dies and returns, {RATE} requests a second, "
                                  f"fail_timeout {FAIL_TIMEOUT:g} s")
    for down, out in [(1.0, FAIL_TIMEOUT), *stage.size([DOWN_LONG], [])]:
        bound = out + 1 + stage.size(0, 1)
        done, back, _ = _run(stage, "1ms", down, bound + 1)
        first = _first_after(done, back)
        stage.report.check(f"used again, after {down:g} s down", first - back <= bound,
                           f"{first - back:.2f} s after its return", f"within {bound:g} s")
    done, back, end = _run(stage, f"{SLOW_START:g}s", 1.0, FAIL_TIMEOUT + SLOW_START + 3)
    _check_rise(stage, done, _first_after(done, back), end)
    stage.report.end_part()


def _run(stage, slow_start, down, afterwards):
    """(what was done, when the backend was back, when the load ended); checks that nothing failed."""
    with Fleet(BACKENDS) as fleet, stage.footbridge(
            fleet.addresses, *_settings(slow_start)) as bridge, \
            Peer(load.arrivals, bridge.address, RATE) as clients:
        clients.receive()
        time.sleep(2)
        fleet.kill(VICTIM)
        time.sleep(down)
        fleet.start(VICTIM)
        back = time.monotonic()
        time.sleep(afterwards)
        end = time.monotonic()
        clients.send("end")
        done = clients.receive(load.PATIENCE + 20)
        bridge.check_log(stage.report)
    failed = load.failures(done)
    stage.report.check(f"GETs that failed, slow_start {slow_start}", not failed, f"{len(failed)} of {len(done):,}",
                       "none")
    load.explain(stage.report, failed)
    return done, back, end


def _settings(slow_start):
    return ["--set", f"backends.fail_timeout={FAIL_TIMEOUT:g}s", "--set", f"backends.slow_start={slow_start}"]


def _first_after(done, back):
    """When the first request that came after the return was given to the backend that returned."""
    times = [each.began for each in done if each.backend == str(VICTIM) and each.began + each.took > back]
    if not times:
        raise Trouble("the backend that came back was never used again")
    return max(back, min(times))


def _check_rise(stage, done, first, end):
    worst, parts = 0.0, []
    for number in range(int(SLOW_START / WINDOW)):
        asked, got = _window(done, first + number * WINDOW)
        share = (number + 1) * WINDOW / SLOW_START / BACKENDS
        most = asked * share + 3 * math.sqrt(asked * share * (1 - share)) + 1
        worst = max(worst, got / most)
        parts.append(f"{got / max(1, asked):.0%}")
    stage.report.note(f"its share in each {WINDOW:g} s from the first request on: {' '.join(parts)}")
    stage.report.check("the most of its share, to what its line allows", worst <= 1, f"{worst:.2f}", "at most 1")
    later = [each for each in done if first + SLOW_START <= each.began < end]
    got, fair = sum(each.backend == str(VICTIM) for each in later), len(later) / BACKENDS
    stage.report.check("its share after that", abs(got - fair) <= 4 * math.sqrt(fair),
                       f"{got / max(1, len(later)):.1%} of {len(later):,}", f"{1 / BACKENDS:.0%} ± chance")


def _window(done, start):
    """(how many requests came in that window, how many of them the backend got)"""
    inside = [each for each in done if start <= each.began < start + WINDOW]
    return len(inside), sum(each.backend == str(VICTIM) for each in inside)
