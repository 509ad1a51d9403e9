"""What is no load: memory, system calls, instructions, size, start, build, a second core."""

from __future__ import annotations

import os
import re
import socket
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from . import machine, proxies, trace
from .cases import FIELDS
from .load import IdleConnections, Load, fetch, run_wrk
from .measure import WARM_UP_SECONDS, Backends, interleave, measure, say
from .proxies import Job, Recipe, Running
from .results import SUBJECT, Figure
from .stage import NotReady, Stage

MIB = 1 << 20

BUSY = Load(connections=64)

# Few enough for a proxy under valgrind, many enough that what happens once does not show in the difference.
FEW_REQUESTS, MANY_REQUESTS = 100, 600

STARTS = 9

# The idle connections that are wanted, and what a limit of connections that is half the descriptors (one for the
# client, one for a backend) keeps free besides.
WANTED_IDLE = 10_000
SPARE_DESCRIPTORS = 128

PROJECT = Path(__file__).resolve().parents[2]


@dataclass
class Bench:
    """What every figure is taken with."""

    stage: Stage
    recipes: dict[str, Recipe]
    backends: Backends
    footbridge: str | None
    reps: int
    seconds: int

    def job(self, clients: int = BUSY.connections, cores: set[int] | None = None) -> Job:
        return Job((self.backends.nginx[0],), "/1k", frozenset(cores or self.stage.proxy_core), clients)

    def each(self, figure: Callable[[Running], float], job: Job) -> dict[str, float]:
        """Starts the proxies one after the other and takes a figure of each; one that fails is left out."""
        values = {}
        for name, recipe in self.recipes.items():
            try:
                running = proxies.start(self.stage, name, recipe, job)
            except NotReady as error:
                say(f"{name} is left out: {error}")
                continue
            try:
                values[name] = figure(running)
            except (OSError, RuntimeError) as error:
                say(f"{name} is left out: {error}")
            finally:
                self.stage.stop(running.process)
        return values


def memory(bench: Bench) -> list[Figure]:
    """PSS after the first answer, and the most that is seen under load."""
    idle: dict[str, float] = {}

    def busy_mib(proxy: Running) -> float:
        idle[proxy.name] = proxy.process.pss_bytes() / MIB
        return most_pss_during(proxy, lambda: run_wrk(bench.stage, BUSY, proxy.port, bench.seconds)) / MIB

    busy = bench.each(busy_mib, bench.job())
    return [
        Figure("memory", "memory, idle (PSS)", "MiB", idle, 1.0),
        Figure("memory", "memory, 64 busy connections (PSS)", "MiB", busy, 2.0),
    ]


def most_pss_during(proxy: Running, work: Callable[[], object]) -> int:
    thread = threading.Thread(target=work)
    thread.start()
    most = 0
    while thread.is_alive():
        most = max(most, proxy.process.pss_bytes())
        thread.join(timeout=0.2)
    return most


def idle(bench: Bench) -> list[Figure]:
    """PSS added by many keep-alive connections that made one request each, per connection."""
    limit = machine.raise_descriptor_limit()
    count = min(WANTED_IDLE, limit // 2 - SPARE_DESCRIPTORS)
    notes = []

    def bytes_each(proxy: Running) -> float:
        connections = IdleConnections()
        before = proxy.process.pss_bytes()
        try:
            connections.open(proxy.port, count)
            after = proxy.process.pss_bytes()
            closed = count - connections.still_open()
        finally:
            connections.close()
        if closed:
            notes.append(f"{proxy.name} closed {closed:,} of them")
        return (after - before) / count

    values = bench.each(bytes_each, bench.job(clients=count))
    return [Figure("idle", f"memory per idle connection, of {count:,}", "bytes", values, 512, note="; ".join(notes))]


def syscalls(bench: Bench) -> list[Figure]:
    """System calls per request at 64 connections, and which they are."""
    notes = []

    def per_request(proxy: Running) -> float:
        run_wrk(bench.stage, BUSY, proxy.port, WARM_UP_SECONDS)
        found = trace.syscalls_per_request(bench.stage, BUSY, proxy, bench.seconds)
        if proxy.name == SUBJECT and found.names:
            notes.append(f"{proxy.name}: {found.names}")
        return found.count

    values = bench.each(per_request, bench.job())
    return [Figure("syscalls", "system calls per request, 64 connections", "", values, 5.0, note="; ".join(notes))]


def instructions(bench: Bench) -> list[Figure]:
    """Instructions in user space per request, from callgrind: the same on a quiet and on a noisy machine."""
    if machine.find("valgrind") is None:
        return []
    fields = "".join(f"{name}: {value}\r\n" for name, value in FIELDS.items())
    figures = []
    for title, lines in (("1 KiB", ""), ("1 KiB, 30 more header fields", fields)):
        values = {}
        for name in (SUBJECT, "before"):
            if name in bench.recipes:
                few, many = (count_instructions(bench, name, count, lines) for count in (FEW_REQUESTS, MANY_REQUESTS))
                values[name] = (many - few) / (MANY_REQUESTS - FEW_REQUESTS)
        figures.append(Figure("instructions", f"user-space instructions per request, {title}", "", values))
    return figures


def count_instructions(bench: Bench, name: str, requests: int, fields: str) -> int:
    """All instructions of a run that answers this many requests on one connection."""
    valgrind = machine.find("valgrind") or "valgrind"
    wrapper = (valgrind, "--tool=callgrind", f"--callgrind-out-file={bench.stage.folder / 'callgrind.out'}")
    running = proxies.start(bench.stage, name, bench.recipes[name], bench.job(), wrapper)
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        for _ in range(requests):
            fetch(connection, "/1k", fields)
    bench.stage.stop(running.process)
    collected = re.search(r"Collected : (\d+)", running.process.output.read_text(errors="replace"))
    if collected is None:
        raise RuntimeError(f"callgrind gave no count: {running.process.last_words()}")
    return int(collected.group(1))


def start(bench: Bench) -> list[Figure]:
    """From the start of the process to its first answer, as a client sees it that keeps asking."""
    values: dict[str, list[float]] = {}
    for _ in range(STARTS):
        for name, taken in bench.each(lambda proxy: proxy.start_seconds * 1e3, bench.job()).items():
            values.setdefault(name, []).append(taken)
    medians = {name: statistics.median(taken) for name, taken in values.items()}
    return [Figure("start", f"start to first answer, median of {STARTS}", "ms", medians, 10.0)]


def size(bench: Bench) -> list[Figure]:
    """The binary alone; what a peer loads as shared libraries is not counted."""
    values = {}
    for name in bench.recipes:
        path = bench.footbridge if name == SUBJECT else machine.find(name)
        if path:
            values[name] = os.path.getsize(os.path.realpath(path)) / MIB
    return [Figure("size", "binary", "MiB", values, 1.0)]


def build(bench: Bench) -> list[Figure]:
    """A clean release build with dependencies already downloaded, on all cores."""
    cargo = machine.find("cargo")
    if cargo is None:
        return []
    argv = [cargo, "build", "--release", "--quiet", "--manifest-path", str(PROJECT / "Cargo.toml")]
    subprocess.run([cargo, "fetch", "--quiet", "--manifest-path", str(PROJECT / "Cargo.toml")], check=True, timeout=600)
    # The bench keeps to the load core, and a child would with it.
    os.sched_setaffinity(0, bench.stage.cores)
    try:
        begin = time.monotonic()
        subprocess.run([*argv, "--target-dir", str(bench.stage.folder / "build")], check=True, timeout=1200)
        seconds = time.monotonic() - begin
    finally:
        os.sched_setaffinity(0, bench.stage.load_core)
    return [Figure("build", f"clean release build, {len(bench.stage.cores)} cores", "s", {SUBJECT: seconds}, 60.0)]


def cores(bench: Bench) -> list[Figure]:
    """Throughput with two cores over throughput with one.

    Where the load has no two cores of its own to show it, it is reckoned from CPU time per request instead:
    what a second core costs in locks, caches and wake-ups shows there.
    """
    seen = bench.stage.load_is_free
    values = {}
    for name, recipe in bench.recipes.items():
        both = []
        for label, count in (("1", 1), ("2", 2)):
            job = bench.job(clients=256, cores=set(bench.stage.cores[:count]))
            both.append(proxies.start(bench.stage, name, recipe, job)._replace(name=label))
        found = interleave(both, bench.reps, lambda proxy: measure(bench.stage, Load(connections=256), proxy, bench.seconds))
        for proxy in both:
            bench.stage.stop(proxy.process)
        pairs = zip(found["1"], found["2"])
        values[name] = statistics.median(two.rate / one.rate if seen else 2 * one.cpu_us / two.cpu_us for one, two in pairs)
    how = "throughput" if seen else "reckoned from CPU time"
    return [Figure("cores", f"2 cores over 1, {how}", "times", values, 1.8, at_least=True)]


@dataclass(frozen=True)
class Plan:
    title: str
    take: Callable[[Bench], list[Figure]]
    quick: bool = True


FIGURES = {
    "memory": Plan("memory, idle and at 64 busy connections", memory),
    "idle": Plan(f"memory per idle connection, {WANTED_IDLE:,} of them or as many as the descriptor limit allows", idle),
    "syscalls": Plan("system calls per request", syscalls),
    "instructions": Plan("user-space instructions per request, footbridge only", instructions),
    "start": Plan("start to first answer", start),
    "size": Plan("size of the binary", size),
    "cores": Plan("2 cores over 1", cores, quick=False),
    "build": Plan("time of a clean release build", build, quick=False),
}
