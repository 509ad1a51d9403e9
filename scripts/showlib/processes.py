"""The processes of a demonstration: footbridge itself, its scripted peers, and what /proc says about them.

Every process is a context manager: leaving the block, by an error or Ctrl-C too, ends it. Each also ends by
itself when this program dies or when its time is over. Only processes started here are ever signalled.
"""

import ctypes
import multiprocessing
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from .report import Trouble

PROJECT = Path(__file__).resolve().parents[2]
_FORK = multiprocessing.get_context("fork")
_PR_SET_PDEATHSIG = 1


def built_footbridge(given):
    """The program to show: the one given, or the project's own release build, brought up to date. Ends the script if
    there is none."""
    if given:
        program = Path(given)
    else:
        target = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
        program = target / "release" / "footbridge"
        if subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=PROJECT, check=False).returncode != 0:
            raise SystemExit("footbridge does not build")
    if not os.access(program, os.X_OK):
        raise SystemExit(f"{program} is not a program")
    return program.resolve()


class Footbridge:
    """footbridge before the given backends, on a port of its own choice; `address` is (host, port).

    `wrapper` is a command that becomes it by exec. With a `config` file, that says where it listens.
    """

    def __init__(self, program, backends, *flags, wrapper=(), config=None):
        where = ["--config", config] if config else ["--listen", "127.0.0.1:0"]
        command = [*wrapper, program, *where, "--access-log", "off", *flags]
        for host, port in backends:
            command += ["--to", f"{host}:{port}"]
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._log,
            start_new_session=True, preexec_fn=end_with_parent)
        self.pid = self.process.pid

    def __enter__(self):
        try:
            self.address = self._listening_address()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self.kill()

    def _listening_address(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = re.search(r"listening on ([\d.]+):(\d+)", self.log())
            if found:
                return found[1], int(found[2])
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise Trouble(f"footbridge does not listen; it said: {self.log().strip() or 'nothing'}")

    def log(self):
        """All that it wrote to stderr so far."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds):
        """Its exit code; Trouble if it still runs after that time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Trouble(f"footbridge still runs after {seconds} s") from None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def check_log(self, report):
        lines = [line for line in self.log().splitlines() if "panicked" in line]
        if lines:
            report.check("panics in the log", False, lines[0], "none")


class Peer:
    """A function in a process of its own: `work(pipe, *arguments)`; what it raises is raised in `receive`."""

    def __init__(self, work, *arguments, seconds=300):
        self._pipe, theirs = _FORK.Pipe()
        self._name = work.__name__
        self._process = _FORK.Process(target=_work, args=(work, theirs, arguments, seconds), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def send(self, message):
        self._pipe.send(message)

    def receive(self, seconds=60):
        if not self._pipe.poll(seconds):
            raise Trouble(f"{self._name} said nothing for {seconds} s")
        try:
            kind, message = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise Trouble(f"{self._name} ended early") from None
        if kind == "error":
            raise Trouble(f"{self._name} failed:\n{message}")
        return message

    def receive_all(self):
        """What it has sent by now."""
        found = []
        while self._pipe.poll(0):
            found.append(self.receive(0))
        return found

    def signal(self, number):
        if self._process.is_alive():
            os.kill(self._process.pid, number)

    def kill(self):
        """kill -9, as the demonstration of a dying backend needs it."""
        self._process.kill()
        self._process.join()


class _Pipe:
    """A peer's end: marks what it sends as a message, not an error."""

    def __init__(self, pipe):
        self._pipe = pipe
        self.receive, self.poll, self.fileno = pipe.recv, pipe.poll, pipe.fileno

    def send(self, message):
        self._pipe.send(("message", message))


def _work(work, pipe, arguments, seconds):
    # Ctrl-C reaches the whole process group; the parent is the one that cleans up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.alarm(seconds)
    end_with_parent()
    try:
        work(_Pipe(pipe), *arguments)
    except Exception:
        pipe.send(("error", traceback.format_exc()))


def end_with_parent():
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def reserve_port():
    """A bound socket that does not listen: its port refuses until a backend, sharing it, listens there."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


def listen(port=0, host="127.0.0.1"):
    """A listening socket; shares its port with the one that reserves it."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    listener.listen(4096)
    return listener


def need_descriptors(number):
    """Raises the limit of open files for this process and those it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < number:
        raise Trouble(f"this needs {number} open files per process; the hard limit (ulimit -Hn) is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (number if hard == resource.RLIM_INFINITY else hard, hard))


def memory_of(pid, kind="Pss"):
    """The proportional set size in bytes: what the process really costs.

    Of that, `Pss_Anon` is what it has filled itself: the part that does not move when other processes begin or end to
    share files with it.
    """
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    raise Trouble(f"no {kind} in smaps_rollup")


def descriptors_of(pid):
    """What each open descriptor is, as {number: target}."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = os.readlink(entry)
        except FileNotFoundError:
            pass  # closed since the folder was listed
    return found


def threads_of(pid):
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def workers_of(pid):
    """How many of its threads are workers."""
    names = [(task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir()]
    return names.count("worker")


def cpu_of(pid):
    """Seconds of a core that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class MemorySampler:
    """Looks every 50 ms, from a process of its own. `end` gives [(time.monotonic(), bytes), ...]."""

    def __init__(self, pid, seconds=300):
        self._peer = Peer(_sample_memory, pid, seconds=seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._peer.kill()

    def end(self):
        self._peer.send("end")
        return self._peer.receive()


def _sample_memory(pipe, pid):
    samples = []
    while not pipe.poll(0.05):
        samples.append((time.monotonic(), memory_of(pid)))
    pipe.send(samples)
