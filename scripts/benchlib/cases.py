"""What is measured under load, and the targets that footbridge holds itself to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .load import Load

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    load: Load
    target: float | None = None
    """Most that footbridge's CPU time per request may be, as a part of the better rival's."""
    p99_target: bool = False
    """Whether p99 must be no worse than the better rival's."""
    quick: bool = True
    """Whether it is run unless all are asked for."""
    backends: int = 1
    access_log: bool = False
    sink: bool = False
    """Whether the backend is the one that reads uploads."""
    relayed: bool = False
    """Whether each message is read in one piece, so that the bare relay can pass it on, too."""
    contents: bool = False
    """Whether moving contents is most of the work, so that the tuned peers are of interest."""


def keep_alive(connections: int, target: float) -> Case:
    title = f"1 KiB keep-alive, {connections:,} connection{'s' if connections > 1 else ''}"
    return Case(f"c{connections}", title, Load(connections=connections), target, p99_target=True, relayed=True)


def hop(backends: int) -> Case:
    return Case(f"hop{backends}", f"1 KiB through {backends:,} backends", Load(), backends=backends, quick=False)


LOG_TARGET = 0.90

# Values as long as a browser's middling field.
FIELDS = {f"X-Field-{number:02}": f"the value of field {number:02}" for number in range(1, 31)}

CASES = (
    keep_alive(1, 0.80),
    keep_alive(8, 0.85),
    keep_alive(64, 0.85),
    keep_alive(512, 0.70),
    keep_alive(1000, 0.70),
    Case("new", "a new connection per request", Load(headers={"Connection": "close"}), 0.95),
    Case("fields", "30 more header fields", Load(headers=FIELDS), 0.85, relayed=True),
    Case("log", "1 KiB keep-alive, 64 connections, access log", Load(), LOG_TARGET, access_log=True),
    Case("get64k", "64 KiB responses", Load("/64k"), 0.70, contents=True),
    Case("get1m", "1 MiB responses", Load("/1m", 16), 0.45, contents=True),
    Case("get100m", "100 MiB responses", Load("/100m", 4, answer_bytes=100 * MIB), 0.45, contents=True, quick=False),
    Case("put64k", "64 KiB uploads", Load("/sink", upload=64 * KIB), 0.70, sink=True, contents=True),
    Case("put1m", "1 MiB uploads", Load("/sink", 16, upload=MIB), 0.45, sink=True, contents=True),
    Case("chunked", "chunked 64 KiB both ways", Load("/chunked", chunked=True), sink=True, contents=True),
    hop(2),
    hop(10),
    hop(100),
    hop(1000),
)


# Through two backends each, for the load balancer's sake.
ARTICLE_CASES = (
    Case("article1", "1 KiB, 1 client", Load(connections=1), backends=2),
    Case("article8", "1 KiB, 8 clients", Load(connections=8), backends=2),
)


def with_access_log(case: Case) -> Case:
    """The same case with every proxy writing an access log."""
    target = LOG_TARGET if case.target else None
    return replace(case, name=f"{case.name}+log", title=f"{case.title}, access log", access_log=True, target=target)
