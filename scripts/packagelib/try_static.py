"""The static program, as the image has it: alone in an empty root, as nobody, it proxies, and looks names up."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading

from showlib.fleet import Fleet
from showlib.processes import PROJECT, Footbridge
from showlib.report import Trouble, mebibytes

from .stage import ask, run, target_folder

# As in the Dockerfile, where they are explained.
FLAGS = '-C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"'
NOBODY = "65532:65532"
NAME_SERVER = "127.0.53.53"
MOST_BYTES = 3 * 2**20


def show(stage):
    report = stage.report
    report.part("static", "the static program in an empty root")
    program = _build()
    size = program.stat().st_size
    report.check("size", size <= MOST_BYTES, mebibytes(size), f"at most {mebibytes(MOST_BYTES)}")
    report.check("needs a loader or libraries", not _is_dynamic(program), _is_dynamic(program), "False")
    root = stage.folder / "root"
    root.mkdir(mode=0o755)
    shutil.copy(program, root / "footbridge")
    with Fleet(1) as fleet:
        _proxy(stage, root, fleet.addresses, "an address")
        (root / "etc").mkdir()
        (root / "etc/hosts").write_text("127.0.0.1 hosts.test\n")
        _proxy(stage, root, [("hosts.test", fleet.addresses[0][1])], "a name in /etc/hosts")
        (root / "etc/resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")
        if stage.root:
            with _name_server():
                _proxy(stage, root, [("dns.test", fleet.addresses[0][1])], "a name that DNS knows")
        else:
            report.skip("names by DNS in an empty root", "port 53 needs root")
    report.end_part()


def _build():
    target = next(line.split()[1] for line in run("rustc", "-vV").splitlines() if line.startswith("host:"))
    subprocess.run(["cargo", "build", "--release", "--quiet", "--target", target], cwd=PROJECT, check=True,
                   timeout=900, env={**os.environ, "RUSTFLAGS": FLAGS})
    return target_folder() / target / "release" / "footbridge"


def _is_dynamic(program):
    """Whether it has a segment that names a loader (PT_INTERP)."""
    data = program.read_bytes()
    at, size, number = (struct.unpack_from(form, data, offset)[0] for form, offset in
                        (("<Q", 32), ("<H", 54), ("<H", 56)))
    return any(struct.unpack_from("<I", data, at + size * each)[0] == 3 for each in range(number))


def _proxy(stage, root, backends, what):
    """One request through it, then TERM."""
    chroot = ["chroot", f"--userspec={NOBODY}", root] if stage.root else ["unshare", "--map-root-user", "chroot", root]
    with Footbridge("/footbridge", backends, wrapper=chroot) as proxy:
        user = os.stat(f"/proc/{proxy.pid}").st_uid
        status = ask(proxy.address)
        proxy.signal(signal.SIGTERM)
        code = proxy.wait(10)
        files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
        stage.report.check(f"a request, to {what}", status == 200 and code == 0,
                           f"{status}, as user {user} beside {', '.join(files)}; exit code {code} after TERM", "200, 0")
        if status != 200:
            raise Trouble(proxy.log().strip()[-500:])


@contextlib.contextmanager
def _name_server():
    """Says of every name that it is 127.0.0.1, and has no IPv6 address (RFC 1035 section 4)."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((NAME_SERVER, 53))
    threading.Thread(target=_answer, args=[server], daemon=True).start()
    try:
        yield
    finally:
        server.close()


def _answer(server):
    while True:
        try:
            query, asker = server.recvfrom(512)
        except OSError:
            return  # closed
        end = query.index(b"\0", 12) + 5
        wants_ipv4 = query[end - 4:end - 2] == b"\0\1"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x01\0\4" + socket.inet_aton("127.0.0.1") if wants_ipv4 else b""
        head = query[:2] + b"\x81\x80\0\1" + struct.pack(">H", wants_ipv4) + bytes(4)
        server.sendto(head + query[12:end] + record, asker)
