"""The place where one run of the bench happens: its cores, temporary folder, processes and their end."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path

from .process import Process, send

# Below the ports that Linux gives to outgoing connections, so that no load connection takes one in between.
PORTS = range(10_240, 32_000)

# A proxy under valgrind on a busy machine takes its time.
READY_SECONDS = 30.0
POLL_SECONDS = 0.0002


class NotReady(Exception):
    """A program ended, or did not answer in time; the text holds its last words."""


class Stage:
    """Use as a context: leaving it ends every process that it started and removes its folder."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise SystemExit("the bench needs two cores: one for the proxy, one for the load")
        self.cores = cores
        self.proxy_core = {cores[0]}
        # The second core is the proxy's in one figure; where there are enough, nothing else runs on it.
        rest = cores[2:] if len(cores) >= 4 else cores[1:]
        self.load_is_free = len(cores) >= 4
        self.load_core = set(rest[: (len(rest) + 1) // 2])
        self.backend_core = set(rest) - self.load_core or self.load_core
        self.folder = Path()
        self.processes: list[Process] = []
        self.counter = itertools.count(1)

    def __enter__(self) -> Stage:
        self.folder = Path(tempfile.mkdtemp(prefix="footbridge-bench-"))
        # `kill` and a closed terminal end the bench as Ctrl-C does.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        # The bench itself, its small clients too, stays off the proxy's core.
        os.sched_setaffinity(0, self.load_core)
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C must not leave anything behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for process in self.processes:
            if process.alive:
                send(process.popen.pid, signal.SIGTERM)
        for process in self.processes:
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def new_folder(self, name: str) -> Path:
        folder = self.folder / f"{next(self.counter)}-{name}"
        folder.mkdir()
        return folder

    def start(self, argv: list[str], cores: set[int], folder: Path, env: dict[str, str] | None = None) -> Process:
        process = Process(argv, cores, output=folder / "output.log", env=env)
        self.processes.append(process)
        return process

    def stop(self, process: Process) -> None:
        process.stop()
        self.processes.remove(process)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on just now."""
    ports: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if len(ports) == count:
            break
        if is_free(port):
            ports.append(port)
    return ports


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until_answering(process: Process, port: int, target: str) -> None:
    """Asks for a target until a 200 comes.

    Raises NotReady when the program ends first or takes longer than READY_SECONDS.
    """
    deadline = time.monotonic() + READY_SECONDS
    while not answers_200(port, target):
        if not process.alive:
            raise NotReady(f"{process.name} ended at once: {process.last_words()}")
        if time.monotonic() > deadline:
            raise NotReady(f"{process.name} gave no 200 within {READY_SECONDS:.0f} s: {process.last_words()}")
        time.sleep(POLL_SECONDS)


def answers_200(port: int, target: str) -> bool:
    request = f"GET {target} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=READY_SECONDS) as connection:
            connection.sendall(request)
            return connection.recv(4096).startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))
    except OSError:
        return False
