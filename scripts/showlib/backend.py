"""A backend that does what the request's target says, well or badly.

  /content?n=1000&seed=7   that content; with &framing=length|chunked|close, &delay=SECONDS before the head,
                           &gap=SECONDS between its pieces, &piece=BYTES, &small=1 for a small send buffer
  /websocket               the handshake, then an echo of each frame
  /fail?how=reset|close|cut|cut-chunked|garbage|half-head

Every response carries X-Asked: the checksum of method, target and request content, as it arrived here.
With a request content, seed and length of which stand in the target (&up=BYTES&upseed=7), each byte is checked;
what is wrong with one is also sent to the parent, since a client that left will not ask.
"""

import asyncio
import functools
import os
import socket
import struct
import urllib.parse
import zlib

from . import content, websocket, wire
from .processes import listen


def serve(pipe, port=0):
    """The work of a Peer. Sends its port, then serves until it is killed."""
    listener = listen(port)
    pipe.send(listener.getsockname()[1])
    asyncio.run(_serve(listener, _Complaints(pipe)))


class _Complaints:
    """Only the first few: the parent reads them at the end, and a full pipe would stop this process."""

    def __init__(self, pipe):
        self._pipe, self._left = pipe, 20

    def add(self, text):
        self._left -= 1
        if self._left >= 0:
            self._pipe.send(text)


async def _serve(listener, complaints):
    server = await asyncio.start_server(functools.partial(_connection, complaints), sock=listener,
                                        limit=4 * wire.PIECE, backlog=4096)
    await server.serve_forever()


async def _connection(complaints, reader, writer):
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while await _one_request(reader, writer):
            pass
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # footbridge closed the connection, as it may at any time
    except (content.WrongBytes, wire.NotHttp, ValueError, LookupError) as wrong:
        complaints.add(f"{type(wrong).__name__}: {wrong}")
    finally:
        writer.close()


async def _one_request(reader, writer):
    """Answers one request; whether the connection goes on."""
    head = await wire.read_head(reader)
    method, target, _ = head.first
    path, _, query = target.partition("?")
    how = dict(urllib.parse.parse_qsl(query))
    if path == "/websocket":
        return await _echo(reader, writer, head)
    if path == "/fail":
        return await _FAILURES[how["how"]](writer)
    if head.get("expect"):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    asked = wire.checksum(method, target, await _take_upload(reader, head, how))
    if "delay" in how:
        await asyncio.sleep(float(how["delay"]))
    return await _answer(writer, method, how, asked)


async def _take_upload(reader, head, how):
    """Reads the request's content; its CRC."""
    verifier = content.Verifier(int(how.get("upseed", 0)), int(how.get("up", 0)))
    crc = 0

    def feed(data):
        nonlocal crc
        crc = zlib.crc32(data, crc)
        verifier.feed(data)
    await wire.read_content(reader, head, feed, 0)
    verifier.end()
    return crc


async def _answer(writer, method, how, asked):
    length, seed = int(how.get("n", 0)), int(how.get("seed", 0))
    framing = how.get("framing", "length")
    field = {"length": f"Content-Length: {length}\r\n", "chunked": "Transfer-Encoding: chunked\r\n",
             "close": "Connection: close\r\n"}[framing]
    if "small" in how:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    head = f"HTTP/1.1 200 OK\r\nX-Asked: {asked}\r\n{field}\r\n".encode()
    if framing == "length" and length <= content.BLOCK and "piece" not in how and method != "HEAD":
        # In one call: a backend that is killed has sent all of a small response or nothing of it.
        writer.write(head + content.whole(seed, length))
        await writer.drain()
        return True
    writer.write(head)
    if method != "HEAD":
        pieces = content.pieces(seed, length)
        if "piece" in how:
            pieces = _cut(pieces, int(how["piece"]))
        await wire.write_content(writer, pieces, framing == "chunked", float(how.get("gap", 0)))
    return framing != "close"


def _cut(pieces, size):
    for piece in pieces:
        for at in range(0, len(piece), size):
            yield piece[at:at + size]


async def _echo(reader, writer, head):
    writer.write(("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  f"Sec-WebSocket-Accept: {websocket.accept(head.get('sec-websocket-key'))}\r\n\r\n").encode())
    while True:
        writer.write(websocket.frame(await websocket.read_frame(reader), masked=False))
        await writer.drain()


async def _reset(writer):
    link = writer.get_extra_info("socket")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def _close(_):
    return False


async def _cut_short(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + content.whole(1, 50000))
    return False


async def _cut_chunked(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n" + content.whole(1, 50000) + b"\r\n")
    return False


async def _garbage(writer):
    writer.write(os.urandom(500) + b"\r\n\r\n")
    return False


async def _half_head(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    return False


_FAILURES = {"reset": _reset, "close": _close, "cut": _cut_short, "cut-chunked": _cut_chunked,
             "garbage": _garbage, "half-head": _half_head}
