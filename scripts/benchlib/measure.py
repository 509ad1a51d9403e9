"""Interleaved repetitions: every proxy has its turn in every repetition, and ratios are taken within one.

So a noisy minute of a shared machine touches all alike. The figure that counts is CPU time per request: what
the proxy's process tree used between the start and the end of wrk, over the answers that wrk counted.
Throughput and latency depend on what else runs on the load core, so read them beside each other only.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Callable, TypeVar

from . import proxies
from .cases import Case
from .load import Load, run_wrk
from .proxies import Job, Recipe, Running
from .results import CaseResult, Sample
from .stage import NotReady, Stage

# Fills the pools of backend connections; wrk knows whole seconds only.
WARM_UP_SECONDS = 1

# The last answers are on their way to wrk when it stops; its closing connections too.
SETTLE_SECONDS = 0.05

Found = TypeVar("Found")


@dataclass
class Backends:
    """The ports of the backends."""

    nginx: list[int]
    sink: int | None


def run_case(
    stage: Stage, case: Case, recipes: dict[str, Recipe], backends: Backends, reps: int, seconds: int
) -> CaseResult:
    """Measures one case for all proxies. One that does not start is left out, with a word on stderr."""
    running = start_all(stage, recipes, job_of(case, backends, stage.proxy_core))
    try:
        for proxy in running:
            run_wrk(stage, case.load, proxy.port, WARM_UP_SECONDS)
        samples = interleave(running, reps, lambda proxy: measure(stage, case.load, proxy, seconds))
    finally:
        for proxy in running:
            stage.stop(proxy.process)
    return CaseResult(case.name, case.title, case.target, case.p99_target, samples)


def job_of(case: Case, backends: Backends, cores: set[int]) -> Job:
    ports = [backends.sink] if case.sink else backends.nginx[: case.backends]
    return Job(
        backends=tuple(port for port in ports if port), target="/sink" if case.sink else "/1k",
        cores=frozenset(cores), clients=case.load.connections, access_log=case.access_log,
    )


def start_all(stage: Stage, recipes: dict[str, Recipe], job: Job) -> list[Running]:
    running = []
    for name, recipe in recipes.items():
        try:
            running.append(proxies.start(stage, name, recipe, job))
        except NotReady as error:
            say(f"{name} is left out: {error}")
    return running


def interleave(running: list[Running], reps: int, turn: Callable[[Running], Found]) -> dict[str, list[Found]]:
    """A B C, B C A, C A B, ...: no proxy always follows the same other."""
    results: dict[str, list[Found]] = {proxy.name: [] for proxy in running}
    for rep in range(reps):
        first = rep % max(1, len(running))
        for proxy in running[first:] + running[:first]:
            results[proxy.name].append(turn(proxy))
    return results


def measure(stage: Stage, load: Load, proxy: Running, seconds: int) -> Sample:
    before = proxy.process.cpu_seconds()
    outcome = run_wrk(stage, load, proxy.port, seconds)
    time.sleep(SETTLE_SECONDS)
    used = proxy.process.cpu_seconds() - before
    return Sample(
        # Without a single answer there is no figure, but an error to be shown.
        cpu_us=used * 1e6 / outcome.requests if outcome.requests else float("inf"),
        rate=outcome.requests / outcome.seconds, p50_us=outcome.p50_us, p99_us=outcome.p99_us,
        errors=outcome.errors + (not outcome.requests), requests=outcome.requests,
    )


def say(text: str) -> None:
    """Progress goes to stderr; stdout is the table's."""
    print(text, file=sys.stderr, flush=True)
