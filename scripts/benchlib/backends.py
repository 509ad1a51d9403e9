"""The servers behind the proxies: nginx for everything that is fetched, sink.rs for what is sent."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from . import machine
from .stage import Stage, free_ports, wait_until_answering

# The most ports any case asks for; one nginx process listens on all of them.
MOST_BACKENDS = 1000

FILES = {"64k": 64 << 10, "1m": 1 << 20, "100m": 100 << 20}

NGINX = """
daemon off;
worker_processes {workers};
worker_rlimit_nofile 16000;
pid nginx.pid;
error_log error.log crit;
{user}
events {{ worker_connections 15000; }}
http {{
    access_log off;
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=16;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    server {{
        {listen}
        root files;
        location = /1k {{ return 200 "{body}"; }}
    }}
}}
"""


def user_line() -> str:
    """Started by root, nginx would serve as another user, who may not read the temporary folder."""
    return "user root;" if os.geteuid() == 0 else ""


def start_nginx(stage: Stage) -> list[int]:
    """Starts the backend of all downloads; returns its ports."""
    folder = stage.new_folder("backend")
    (folder / "files").mkdir()
    for name, size in FILES.items():
        write_file(folder / "files" / name, size)
    ports = free_ports(MOST_BACKENDS)
    listen = " ".join(f"listen 127.0.0.1:{port} backlog=4096;" for port in ports)
    config = NGINX.format(workers=len(stage.backend_core), user=user_line(), listen=listen, body="x" * 1024)
    (folder / "nginx.conf").write_text(config)
    argv = [machine.find("nginx") or "nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    process = stage.start(argv, stage.backend_core, folder)
    wait_until_answering(process, ports[0], "/1k")
    return ports


def write_file(path: Path, size: int) -> None:
    block = b"x" * (1 << 16)
    with open(path, "wb") as file:
        for _ in range(size // len(block)):
            file.write(block)


def start_sink(stage: Stage) -> int | None:
    """Compiles and starts the backend of all uploads; returns its port, or None without a compiler."""
    rustc = machine.find("rustc")
    if rustc is None:
        return None
    folder = stage.new_folder("sink")
    binary = folder / "sink"
    source = Path(__file__).with_name("sink.rs")
    subprocess.run([rustc, "-O", "--edition", "2021", "-o", str(binary), str(source)], check=True, timeout=120)
    port = free_ports(1)[0]
    process = stage.start([str(binary), str(port)], stage.backend_core, folder)
    wait_until_answering(process, port, "/sink")
    return port
