"""Programs started pinned to cores; their CPU time and memory as a tree; their end.

Only what was started here is ever ended, by its own process id.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Iterator

TICK = os.sysconf("SC_CLK_TCK")

# Long enough for a proxy to drain, short enough not to be noticed.
GRACE_SECONDS = 5.0


@contextlib.contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """What is started inside inherits these cores; the bench itself goes back to its own."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Process:
    """A program with all its descendants."""

    def __init__(self, argv: list[str], cores: set[int], *, output: Path, env: dict[str, str] | None = None):
        self.name = Path(argv[0]).name
        self.output = output
        with pinned(cores), open(output, "wb") as sink:
            # A group of its own: Ctrl-C reaches the bench alone, which then ends things in order. Not a session: where
            # Linux groups processes by session (sched_autogroup_enabled), wrk and the backends would have one half of
            # the load core each, whatever they need, and the fastest proxy's p99 would be that of the scheduler.
            self.popen = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})}, preexec_fn=os.setpgrp,
            )

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def tree(self) -> list[int]:
        """The ids of the program and its living descendants."""
        children: dict[int, list[int]] = {}
        for pid, parent in parents():
            children.setdefault(parent, []).append(pid)
        found, queue = [], [self.popen.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            queue += children.get(pid, [])
        return found

    def cpu_seconds(self) -> float:
        """utime + stime of the whole tree, with the children it has already waited for."""
        return sum(cpu_seconds(pid) for pid in self.tree())

    def pss_bytes(self) -> int:
        """Proportional set size of the whole tree."""
        return sum(pss_bytes(pid) for pid in self.tree())

    def stop(self) -> None:
        """Asks it to end, and after a while makes it. Leaves no descendant behind."""
        tree = self.tree()
        send(self.popen.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(GRACE_SECONDS)
        for pid in tree:
            # The id may be free again, or another's by now, unless the process still is of that group.
            if group_of(pid) == self.popen.pid:
                send(pid, signal.SIGKILL)
        self.popen.wait()

    def last_words(self) -> str:
        return self.output.read_text(errors="replace").strip()[-2000:]


def parents() -> Iterator[tuple[int, int]]:
    """(process, parent) of every process that can be seen."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = stat_fields(int(entry))
            if fields:
                yield int(entry), int(fields[1])


def stat_fields(pid: int) -> list[str]:
    """/proc/PID/stat from the third field on; empty when the process is gone."""
    try:
        # The second field is the name in parentheses, which may hold spaces and parentheses itself.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ProcessLookupError):
        return []


def group_of(pid: int) -> int | None:
    fields = stat_fields(pid)
    return int(fields[2]) if fields else None


def cpu_seconds(pid: int) -> float:
    """utime + stime of one process in nanoseconds' resolution, and of its reaped children in ticks.

    /proc/PID/stat counts in ticks of 10 ms. The process's CPU clock tells the same sum exactly; its id
    is made from the process id as clock_getcpuclockid(3) does on Linux.
    """
    fields = stat_fields(pid)
    if not fields:
        return 0.0
    reaped = (int(fields[13]) + int(fields[14])) / TICK
    try:
        return time.clock_gettime((~pid << 3) | 2) + reaped
    except OSError:
        return (int(fields[11]) + int(fields[12])) / TICK + reaped


def pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
