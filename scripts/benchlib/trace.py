"""Counts the system calls of a running proxy: with perf, which hardly slows it, or else with strace."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import machine
from .load import Load, run_wrk
from .process import pinned
from .proxies import Running
from .stage import Stage

ATTACH_SECONDS = 10.0


@dataclass(frozen=True)
class Calls:
    """System calls per request."""

    count: float
    names: str
    """The most frequent ones, each per request; empty without strace."""


def syscalls_per_request(stage: Stage, load: Load, proxy: Running, seconds: int) -> Calls:
    """Raises RuntimeError when neither tool is here or allowed to look."""
    counted = count_with_perf(stage, load, proxy, seconds)
    named = count_with_strace(stage, load, proxy, seconds)
    if counted is None and named is None:
        raise RuntimeError("neither perf nor strace can count system calls here")
    names = ", ".join(f"{name} {calls:.2f}" for name, calls in (named or [])[:6])
    return Calls(counted if counted is not None else sum(calls for _, calls in named or []), names)


def count_with_perf(stage: Stage, load: Load, proxy: Running, seconds: int) -> float | None:
    """None when perf is not here or may not read the trace point."""
    perf = machine.find("perf")
    if perf is None:
        return None
    report = stage.folder / "perf.csv"
    report.unlink(missing_ok=True)
    pids = ",".join(map(str, proxy.process.tree()))
    wrapper = (perf, "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-o", str(report), "-p", pids, "--")
    try:
        outcome = run_wrk(stage, load, proxy.port, seconds, wrapper)
        counts = [line.split(",")[0] for line in report.read_text().splitlines() if "sys_enter" in line]
        return int(counts[0]) / outcome.requests
    except (RuntimeError, OSError, IndexError, ValueError, ZeroDivisionError):
        return None


def count_with_strace(stage: Stage, load: Load, proxy: Running, seconds: int) -> list[tuple[str, float]] | None:
    """(name, calls per request), the most frequent first; None when strace is not here or may not attach."""
    strace = machine.find("strace")
    if strace is None:
        return None
    report = stage.folder / "strace.txt"
    report.unlink(missing_ok=True)
    pids = proxy.process.tree()
    argv = [strace, "-c", "-f", "-o", str(report)] + [word for pid in pids for word in ("-p", str(pid))]
    with pinned(stage.load_core):
        tracer = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not wait_until_traced(pids, tracer):
            return None
        outcome = run_wrk(stage, load, proxy.port, seconds)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    # A proxy that strace slows down to nothing has no figure.
    return [(name, calls / outcome.requests) for name, calls in parse(report)] if outcome.requests else None


def wait_until_traced(pids: list[int], tracer: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + ATTACH_SECONDS
    while time.monotonic() < deadline and tracer.poll() is None:
        if all(is_traced(pid) for pid in pids):
            return True
        time.sleep(0.01)
    return False


def is_traced(pid: int) -> bool:
    """Whether every thread of a process is."""
    statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return all("TracerPid:\t0\n" not in status for status in statuses)


def parse(report: Path) -> list[tuple[str, int]]:
    """The table of `strace -c`: % time, seconds, usecs/call, calls, [errors], syscall."""
    found = []
    for line in report.read_text().splitlines():
        words = line.split()
        if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
            found.append((words[-1], int(words[3])))
    return sorted(found, key=lambda call: -call[1])
