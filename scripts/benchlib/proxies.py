"""How each proxy is told to do the same work.

Equal for all: one worker (as many as the case gives cores), pinned; a random choice of backend; HTTP/1.1 to
the backends over connections that are kept and shared by all clients; X-Forwarded-For; contents streamed, not
stored on disk first; access log off, or on to a file. What is not named here stays at the proxy's default.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, NamedTuple

from . import machine
from .backends import user_line
from .process import Process
from .stage import NotReady, Stage, free_ports, wait_until_answering


@dataclass(frozen=True)
class Job:
    """What a proxy is asked to be."""

    backends: tuple[int, ...]
    """Ports on 127.0.0.1."""
    target: str
    """What the first request asks for, to see that it works."""
    cores: frozenset[int]
    clients: int = 64
    """Client connections it must be able to hold at once, and backend connections it may keep."""
    access_log: bool = False


@dataclass(frozen=True)
class Command:
    argv: list[str]
    env: dict[str, str]


# Makes the command for a job, on a port, with a folder for its files.
Recipe = Callable[[Job, int, Path], Command]


class Running(NamedTuple):
    """A proxy at work."""

    name: str
    process: Process
    port: int
    start_seconds: float
    """From the start of the process to its first answer."""


# What is measured beside the proxies, where it can do their work: the least that it takes.
YARDSTICK = "relay"

# Room for connections beyond those of the clients: backends, the listener, the first request.
SPARE = 256


def footbridge(binary: str) -> Recipe:
    """footbridge needs no number of workers: it counts the cores it may run on."""

    def command(job: Job, port: int, folder: Path) -> Command:
        log = str(folder / "access.log") if job.access_log else "off"
        argv = [binary, "--listen", f"127.0.0.1:{port}", "--access-log", log]
        for backend in job.backends:
            argv += ["--to", f"127.0.0.1:{backend}"]
        return Command(argv, {})

    return command


NGINX = """
daemon off;
worker_processes {workers};
pid nginx.pid;
error_log error.log crit;
{user}
events {{ worker_connections {connections}; }}
http {{
    access_log {log};
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
    # As the others: no limit of requests per connection, no limit of content.
    keepalive_requests 1000000000;
    client_max_body_size 0;
    upstream backend {{
        random;
        {servers}
        keepalive {keepalive};
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            # Its default stores what does not fit its buffers on disk.
            proxy_max_temp_file_size 0;
            proxy_request_buffering off;
            {extra}
        }}
    }}
}}
"""


def nginx(extra: str = "") -> Recipe:
    def command(job: Job, port: int, folder: Path) -> Command:
        kept = max(job.clients, 2 * len(job.backends))
        config = NGINX.format(
            workers=len(job.cores), user=user_line(), connections=job.clients + kept + SPARE,
            log="access.log combined" if job.access_log else "off",
            servers=" ".join(f"server 127.0.0.1:{backend};" for backend in job.backends),
            keepalive=kept, port=port, extra=extra,
        )
        (folder / "nginx.conf").write_text(config)
        binary = machine.find("nginx") or "nginx"
        return Command([binary, "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"], {})

    return command


HAPROXY = """
global
    # No maxconn: HAProxy makes it from the descriptor limit, and closes idle backend connections once a
    # quarter of it is in use, so a tight one would cost it a connect per request.
    nbthread {threads}
    {global_log}
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    option forwardfor
    # Its default gives the first request of every client a backend connection of its own.
    http-reuse always
    {log}
    {extra}
frontend clients
    bind 127.0.0.1:{port} backlog 4096
    default_backend backends
backend backends
    balance random
    {servers}
"""


def haproxy(extra: str = "") -> Recipe:
    def command(job: Job, port: int, folder: Path) -> Command:
        config = HAPROXY.format(
            threads=len(job.cores), port=port, extra=extra,
            # Its lines go to the standard output, which is a file here.
            global_log="log stdout format raw local0" if job.access_log else "",
            log="log global\n    option httplog" if job.access_log else "",
            servers="\n    ".join(f"server b{backend} 127.0.0.1:{backend}" for backend in job.backends),
        )
        path = folder / "haproxy.cfg"
        path.write_text(config)
        return Command([machine.find("haproxy") or "haproxy", "-db", "-f", str(path)], {})

    return command


CADDY = """
{{
    admin off
    auto_https off
}}
http://:{port} {{
    bind 127.0.0.1
    {log}
    reverse_proxy {servers} {{
        lb_policy random
        transport http {{
            keepalive_idle_conns {keepalive}
            keepalive_idle_conns_per_host {keepalive}
        }}
    }}
}}
"""


def caddy(job: Job, port: int, folder: Path) -> Command:
    log = f"log {{\n        output file {folder / 'access.log'}\n    }}" if job.access_log else ""
    servers = " ".join(f"127.0.0.1:{backend}" for backend in job.backends)
    keepalive = max(job.clients, 2 * len(job.backends))
    path = folder / "Caddyfile"
    path.write_text(CADDY.format(port=port, log=log, servers=servers, keepalive=keepalive))
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    argv = [machine.find("caddy") or "caddy", "run", "--config", str(path), "--adapter", "caddyfile"]
    return Command(argv, {**home, "GOMAXPROCS": str(len(job.cores))})


def article(proxy_servers: int) -> Recipe:
    """The article's Python pair: with one backend its reverse proxy, with more its load balancer."""

    def command(job: Job, port: int, folder: Path) -> Command:
        chosen = [str(backend) for backend in job.backends[:proxy_servers]]
        return Command([sys.executable, str(Path(__file__).with_name("article.py")), str(port), *chosen], {})

    return command


def relay(job: Job, port: int, folder: Path) -> Command:
    """The yardstick: relay.c, which knows no HTTP."""
    binary, source = folder / "relay", Path(__file__).with_name("relay.c")
    try:
        subprocess.run([machine.find("cc") or "cc", "-O2", "-o", str(binary), str(source)], check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotReady(f"it does not compile: {error}") from error
    return Command([str(binary), str(port), str(job.backends[0])], {})


def known(footbridge_path: str | None, before_path: str | None) -> dict[str, Recipe]:
    """Every proxy that this machine can run, by name; footbridge first."""
    found: dict[str, Recipe] = {}
    if footbridge_path:
        found["footbridge"] = footbridge(footbridge_path)
    if before_path:
        found["before"] = footbridge(before_path)
    for name, command in (("nginx", nginx()), ("haproxy", haproxy()), ("caddy", caddy)):
        if machine.find(name):
            found[name] = command
    if machine.find("cc"):
        found[YARDSTICK] = relay
    return found


def tuned() -> dict[str, Recipe]:
    """The peers with what their manuals offer for large contents. Shown beside; no target is held against them."""
    found: dict[str, Recipe] = {}
    if machine.find("nginx"):
        found["nginx-tuned"] = nginx("proxy_buffers 8 128k; proxy_buffer_size 128k; client_body_buffer_size 128k;")
    if machine.find("haproxy"):
        found["haproxy-splice"] = haproxy("option splice-response\n    option splice-request")
    return found


def start(stage: Stage, name: str, command: Recipe, job: Job, wrapper: tuple[str, ...] = ()) -> Running:
    """Starts a proxy and waits for its first good answer. Raises NotReady."""
    folder = stage.new_folder(name)
    port = free_ports(1)[0]
    made = command(job, port, folder)
    begin = time.monotonic()
    process = stage.start([*wrapper, *made.argv], set(job.cores), folder, made.env)
    try:
        wait_until_answering(process, port, job.target)
    except NotReady:
        stage.stop(process)
        raise
    return Running(name, process, port, time.monotonic() - begin)
