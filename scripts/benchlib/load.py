"""The load: wrk with a Lua script per kind of request, and a small client of our own for idle connections."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from . import machine
from .process import pinned
from .stage import Stage

# A slow proxy must show as slow, not as an error.
WRK_TIMEOUT = "10s"

CHUNK_BYTES = 8 * 1024
CHUNKS = 8

DONE = """
done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format('\\n{"requests": %d, "bytes": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "errors": %d}\\n',
        summary.requests, summary.bytes, summary.duration / 1e6,
        latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""

CHUNKED = """
local chunk = string.format("%x\\r\\n", {size}) .. string.rep("x", {size}) .. "\\r\\n"
local message = "POST {target} HTTP/1.1\\r\\nHost: bench\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
    .. string.rep(chunk, {chunks}) .. "0\\r\\n\\r\\n"
request = function() return message end
"""


@dataclass(frozen=True)
class Load:
    """What the clients send."""

    target: str = "/1k"
    connections: int = 64
    headers: dict[str, str] = field(default_factory=dict)
    upload: int = 0
    """Bytes of content in each request, with a Content-Length."""
    chunked: bool = False
    """64 KiB of content in chunks instead."""
    answer_bytes: int = 0
    """When set, requests are counted by the bytes of the answers: for answers that take most of a run."""


@dataclass(frozen=True)
class Outcome:
    """What the clients saw."""

    requests: float
    seconds: float
    p50_us: float
    p99_us: float
    errors: int


def script(load: Load) -> str:
    """The Lua script that makes wrk send this load."""
    lines = [DONE]
    for name, value in load.headers.items():
        lines.append(f'wrk.headers["{name}"] = "{value}"')
    if load.upload:
        lines.append(f'wrk.method = "POST"\nwrk.body = string.rep("x", {load.upload})')
    if load.chunked:
        lines.append(CHUNKED.format(target=load.target, size=CHUNK_BYTES, chunks=CHUNKS))
    return "\n".join(lines)


def wrk_argv(stage: Stage, load: Load, port: int, seconds: int) -> list[str]:
    path = stage.folder / "load.lua"
    path.write_text(script(load))
    threads = min(len(stage.load_core), load.connections)
    return [
        machine.find("wrk") or "wrk", "--threads", str(threads), "--connections", str(load.connections),
        "--duration", f"{seconds}s", "--timeout", WRK_TIMEOUT, "--script", str(path),
        f"http://127.0.0.1:{port}{load.target}",
    ]


def run_wrk(stage: Stage, load: Load, port: int, seconds: int, wrapper: tuple[str, ...] = ()) -> Outcome:
    """Runs wrk to its end, on the load core; `wrapper` is a command to run it under.

    Raises RuntimeError when wrk ends without figures.
    """
    with pinned(stage.load_core):
        ran = subprocess.run(
            [*wrapper, *wrk_argv(stage, load, port, seconds)],
            capture_output=True, text=True, timeout=seconds + 60, preexec_fn=os.setpgrp,
        )
    return parse(load, ran.stdout, ran.stderr)


def parse(load: Load, stdout: str, stderr: str) -> Outcome:
    found = [line for line in stdout.splitlines() if line.startswith("{")]
    if not found:
        raise RuntimeError(f"wrk gave no figures: {stderr or stdout}")
    figures = json.loads(found[-1])
    requests = figures["bytes"] / load.answer_bytes if load.answer_bytes else figures["requests"]
    return Outcome(requests, figures["seconds"], figures["p50_us"], figures["p99_us"], figures["errors"])


class IdleConnections:
    """Many client connections that made one request each and then say nothing."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    def open(self, port: int, count: int) -> None:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=10)
            self.sockets.append(connection)
            fetch(connection, "/1k")

    def still_open(self) -> int:
        return sum(not readable(connection) for connection in self.sockets)

    def close(self) -> None:
        for connection in self.sockets:
            connection.close()
        self.sockets.clear()


def readable(connection: socket.socket) -> bool:
    """After its one answer an idle connection has something to read only when it was closed."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def fetch(connection: socket.socket, target: str, fields: str = "") -> None:
    """One request and its whole answer of known length. Raises ConnectionError on anything but a 200."""
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: bench\r\n{fields}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += receive(connection)
    head, _, content = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise ConnectionError(f"wanted a 200, got {head[:80]!r}")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    missing = int(length.split(b":")[1]) - len(content)
    while missing > 0:
        missing -= len(receive(connection))


def receive(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("closed before the answer's end")
    return data
