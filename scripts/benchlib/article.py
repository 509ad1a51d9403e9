#!/usr/bin/env python3
"""The pair of Python programs that footbridge grew out of, rebuilt from their description. For learners.

1. A reverse proxy: a BaseHTTPRequestHandler on an HTTPServer repeats the client's request to a target with
   http.client.HTTPConnection (same method, path and header fields), and copies status, header fields and body
   of the answer back.
2. A load balancer: LoadBalancer(server_list) with get_server(), which is random.choice(server_list), and
   forward_request(request), which sends the request to the chosen server and returns its response.

Nothing is added to them, so all that a real proxy needs is missing, and can be looked for: one client at a
time; a backend connection per request; whole bodies in memory; hop-by-hop fields copied (the backend's
"Connection: keep-alive" keeps the one client it serves, while all others wait); head and body in two sends
(which costs 40 ms each time: Nagle's algorithm and delayed acknowledgements); Date and Server sent twice;
no timeout and no limit anywhere; chunked requests lose their content.

    article.py PORT BACKEND_PORT                    the reverse proxy
    article.py PORT BACKEND_PORT BACKEND_PORT ...   behind the load balancer
"""

from __future__ import annotations

import random
import sys
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Mapping, NamedTuple


class Request(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def send_to(server: tuple[str, int], request: Request) -> HTTPResponse:
    """Sends a request to a server; returns its response, whose body is still to be read."""
    connection = HTTPConnection(*server)
    connection.request(request.method, request.path, request.body, dict(request.headers))
    return connection.getresponse()


class LoadBalancer:
    def __init__(self, server_list: list[tuple[str, int]]):
        self.server_list = server_list

    def get_server(self) -> tuple[str, int]:
        return random.choice(self.server_list)

    def forward_request(self, request: Request) -> HTTPResponse:
        return send_to(self.get_server(), request)


class ReverseProxyHandler(BaseHTTPRequestHandler):
    target: tuple[str, int]

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        request = Request(self.command, self.path, self.headers, self.rfile.read(length))
        response = self.forward(request)
        self.send_response(response.status, response.reason)
        for name, value in response.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.read())

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def forward(self, request: Request) -> HTTPResponse:
        return send_to(self.target, request)

    def log_message(self, format: str, *args: object) -> None:
        """Silent, as every other proxy in the comparison."""


class LoadBalancingHandler(ReverseProxyHandler):
    balancer: LoadBalancer

    def forward(self, request: Request) -> HTTPResponse:
        return self.balancer.forward_request(request)


def main() -> None:
    port, *backends = map(int, sys.argv[1:])
    servers = [("127.0.0.1", backend) for backend in backends]
    handler: type[ReverseProxyHandler]
    if len(servers) == 1:
        handler = ReverseProxyHandler
        ReverseProxyHandler.target = servers[0]
    else:
        handler = LoadBalancingHandler
        LoadBalancingHandler.balancer = LoadBalancer(servers)
    HTTPServer(("127.0.0.1", port), handler).serve_forever()


if __name__ == "__main__":
    main()
