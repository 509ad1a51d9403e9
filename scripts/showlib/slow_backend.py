"""One of three backends is ten times slower: p99 with `two-choices` and `least-connections` beside `random`.

Each backend works on four requests at once, as a small application server does, and queues the others: 5 ms a
request, the slow one 50 ms. So two can take 800 requests a second and one 80, and 270 come, at random, whether the
earlier ones are answered or not: 16 % of what all three can take, but a third of it is more than the slow one can.
That is what a slow backend does to a balancer that does not look. Times run from when a request was due.
"""

import statistics
import time

from . import load
from .fleet import Fleet
from .processes import Peer
from .report import Trouble, milliseconds, percentile


POLICIES = ["random", "two-choices", "least-connections"]
SERVICES = [(0.005, 4), (0.005, 4), (0.050, 4)]
SLOW = "2"
RATE = 270
#: The most that p99 may be, as a part of random's.
BOUND = 0.25


def show(stage):
    turns, seconds = stage.size(3, 1), stage.size(8, 4)
    stage.report.part("slow-backend", f"5 ms, 5 ms and 50 ms a request, four at once each, {RATE} requests a second")
    found = {policy: [] for policy in POLICIES}
    for turn in range(turns):
        for policy in POLICIES[turn % 3:] + POLICIES[:turn % 3]:
            found[policy].append(_measure(stage, policy, seconds, turn))
    _table(found)
    reference = _median(found["random"], 0.99)
    for policy in POLICIES[1:]:
        ratio = _median(found[policy], 0.99) / reference
        stage.report.check(f"p99 of {policy} to random's", ratio <= BOUND, f"{ratio:.2f}", f"at most {BOUND:g}")
    failed = [each for policy in POLICIES for done in found[policy] for each in load.failures(done)]
    stage.report.check("requests that failed", not failed, len(failed), "none")
    load.explain(stage.report, failed)
    stage.report.end_part()


def _measure(stage, policy, seconds, seed):
    """What was done with that policy; new backends, so that no turn inherits another's queue."""
    with Fleet(3, services=SERVICES) as fleet, stage.footbridge(fleet.addresses, "--balance", policy) as bridge, \
            Peer(load.arrivals, bridge.address, RATE, seed) as clients:
        clients.receive()
        time.sleep(seconds)
        clients.send("end")
        done = clients.receive(load.PATIENCE + 20)
        bridge.check_log(stage.report)
    if len(done) < RATE * seconds / 2:
        raise Trouble(f"only {len(done)} requests in {seconds} s: this machine is too busy")
    return done


def _median(turns, part):
    return statistics.median(percentile([each.took for each in done], part) for done in turns)


def _table(found):
    print("\n  | one of three backends ten times slower | p50 | p99 | requests to the slow one |")
    print("  |---|---:|---:|---:|")
    for policy, turns in found.items():
        share = statistics.median(sum(each.backend == SLOW for each in done) / len(done) for done in turns)
        print(f"  | `{policy}` | {milliseconds(_median(turns, .5))} | {milliseconds(_median(turns, .99))} "
              f"| {share:.0%} |")
    print(flush=True)
