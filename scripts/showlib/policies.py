"""CPU time per request of each policy, before 2, 10, 100 and 1,000 backends, with 64 clients.

Measured as in scripts/bench: wrk on one core, footbridge on another, nginx listening on a thousand ports. All
numbers of backends of one policy take turns, so that a noisy minute touches all alike.
"""

import os
import signal
import statistics
from pathlib import Path

from benchlib import backends, machine, proxies
from benchlib.load import Load, run_wrk
from benchlib.measure import WARM_UP_SECONDS, interleave, measure
from benchlib.proxies import Command, Job
from benchlib.stage import NotReady
from benchlib.stage import Stage as Bench

from .report import Trouble

POLICIES = ["random", "round-robin", "two-choices", "least-connections", "hash"]
NUMBERS = [2, 10, 100, 1000]
CLIENTS = 64


def show(stage):
    numbers = ", ".join(f"{each:,}" for each in NUMBERS)
    stage.report.part("policies", f"CPU time per request through {numbers} backends, {CLIENTS} clients")
    missing = [tool for tool in machine.INDISPENSABLE if not machine.find(tool)]
    if missing:
        stage.report.skip("policies", f"{' and '.join(missing)} not installed")
    else:
        _show(stage)
    stage.report.end_part()


def _show(stage):
    reps, seconds = stage.size(5, 1), stage.size(2, 1)
    numbers = stage.size(NUMBERS, NUMBERS[::3])
    machine.raise_descriptor_limit()
    found, errors, kept = {}, 0, _kept_by_bench()
    try:
        with Bench() as bench:
            ports = backends.start_nginx(bench)
            for policy in POLICIES:
                samples = _measure(stage, bench, policy, ports, numbers, reps, seconds)
                found[policy] = [statistics.median(each.cpu_us for each in samples[str(number)]) for number in numbers]
                errors += sum(each.errors for turns in samples.values() for each in turns)
    except NotReady as error:
        raise Trouble(error) from None
    finally:
        _give_back(kept)
    _table(found, numbers)
    stage.report.check("requests that failed", not errors, errors, "none")


def _measure(stage, bench, policy, ports, numbers, reps, seconds):
    """{number of backends: [sample, ...]}"""
    running, load = [], Load(connections=CLIENTS)
    try:
        for number in numbers:
            job = Job(tuple(ports[:number]), "/1k", frozenset(bench.proxy_core), CLIENTS)
            running.append(proxies.start(bench, f"{policy}-{number}", _recipe(stage.program, policy), job)
                           ._replace(name=str(number)))
            run_wrk(bench, load, running[-1].port, WARM_UP_SECONDS)
        return interleave(running, reps, lambda proxy: measure(bench, load, proxy, seconds))
    finally:
        for proxy in running:
            bench.stop(proxy.process)


def _recipe(program, policy):
    plain = proxies.footbridge(str(program))

    def command(job, port, folder: Path):
        made = plain(job, port, folder)
        return Command([*made.argv, "--balance", policy], made.env)

    return command


def _table(found, numbers):
    print("\n  | CPU µs per request | " + " | ".join(f"{each:,}" for each in numbers)
          + f" | {numbers[-1]:,} to {numbers[0]} |")
    print("  |---|" + "---:|" * (len(numbers) + 1))
    for policy, times in found.items():
        print(f"  | `{policy}` | " + " | ".join(f"{each:.1f}" for each in times) + f" | {times[-1] / times[0]:.2f} |")
    print(flush=True)


def _kept_by_bench():
    """What the bench changes of its own process: the cores it runs on, and how it takes signals."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return os.sched_getaffinity(0), {number: signal.getsignal(number) for number in numbers}


def _give_back(kept):
    os.sched_setaffinity(0, kept[0])
    for number, handler in kept[1].items():
        signal.signal(number, handler)
