"""HTTP/1.1 on asyncio streams, for both ends of a demonstration: heads, contents, requests.

It believes nothing: a content that ends early raises asyncio.IncompleteReadError, anything that is not HTTP
raises NotHttp. Nothing here is lenient on purpose, since it judges what footbridge sends.
"""

import asyncio
import socket
import struct
import zlib

from . import content

PIECE = 64 * 1024


class NotHttp(Exception):
    """The peer sent what no rule allows."""


class Head:
    """`first`: the start line's three parts; `fields`: lower-case name -> value (the last one wins)."""

    def __init__(self, raw):
        lines = raw.decode("latin-1").split("\r\n")
        self.first = lines[0].split(" ", 2)
        self.fields = {}
        for line in lines[1:-2]:
            name, colon, value = line.partition(":")
            if not colon:
                raise NotHttp(f"field line {line!r}")
            self.fields[name.lower()] = value.strip()
        if len(self.first) < 3:
            raise NotHttp(f"start line {lines[0]!r}")

    def get(self, name):
        return self.fields.get(name, "")


async def read_head(reader):
    """The next head; asyncio.IncompleteReadError if the peer closed, with the bytes that did come."""
    return Head(await reader.readuntil(b"\r\n\r\n"))


async def read_content(reader, head, feed, otherwise):
    """Reads one content to its exact end. `otherwise` is how long it is without framing fields: 0, or
    "close" for a response that ends with its connection."""
    if head.get("transfer-encoding").lower() == "chunked":
        await _read_chunks(reader, feed)
    elif "content-length" in head.fields:
        await _read_exactly(reader, int(head.get("content-length")), feed)
    elif otherwise == "close":
        while data := await reader.read(PIECE):
            feed(data)


async def _read_exactly(reader, size, feed):
    while size > 0:
        data = await reader.read(min(size, PIECE))
        if not data:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(data)
        feed(data)


async def _read_chunks(reader, feed):
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        await _read_exactly(reader, size, feed)
        if size == 0:
            break
        if await reader.readexactly(2) != b"\r\n":
            raise NotHttp("chunk without its end")
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass


async def write_content(writer, pieces, chunked, gap=0):
    """Sends a content that is made while it is sent, never ahead of what the peer takes."""
    for piece in pieces:
        if chunked:
            writer.writelines([b"%x\r\n" % len(piece), piece, b"\r\n"])
        else:
            writer.write(piece)
        await writer.drain()
        if gap:
            await asyncio.sleep(gap)
    if chunked:
        writer.write(b"0\r\n\r\n")
    await writer.drain()


def checksum(method, target, body_crc=0):
    """What a backend was asked, as both ends compute it: `X-Asked` in its responses."""
    return f"{zlib.crc32(f'{method} {target}'.encode(), body_crc):08x}"


class Upload:
    """A request's content: `length` bytes of content `seed`, framed as asked."""

    def __init__(self, seed, length, chunked=False, expect=False):
        self.seed, self.length, self.chunked, self.expect = seed, length, chunked, expect

    def fields(self):
        framing = "Transfer-Encoding: chunked\r\n" if self.chunked else f"Content-Length: {self.length}\r\n"
        return framing + ("Expect: 100-continue\r\n" if self.expect else "")

    def pieces(self):
        """The content; `crc` is that of the pieces taken so far."""
        self.crc = 0
        for piece in content.pieces(self.seed, self.length):
            self.crc = zlib.crc32(piece, self.crc)
            yield piece


class Client:
    """One connection to footbridge. `ask` is the ordinary request; the rest is for unusual ones."""

    @classmethod
    async def connect(cls, address, receive_buffer=None):
        link = socket.socket()
        link.setblocking(False)
        if receive_buffer:  # must be small before the handshake, or the window was offered already
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(link, address)
        except BaseException:
            link.close()
            raise
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self = cls()
        self.reader, self.writer = await asyncio.open_connection(
            sock=link, limit=receive_buffer or 4 * PIECE)
        return self

    async def ask(self, method, target, upload=None, fields="", feed=None, version="HTTP/1.1"):
        """Sends a request and reads its response; checks X-Asked if the status is 200. Returns the head."""
        self.send_head(method, target, upload.fields() + fields if upload else fields, version)
        if upload:
            if upload.expect:
                await self.continued()
            await write_content(self.writer, upload.pieces(), upload.chunked)
        head = await self.head()
        if head.first[1] == "200" and head.get("x-asked") != (
                asked := checksum(method, target, upload.crc if upload else 0)):
            raise content.WrongBytes(f"{method} {target}: X-Asked is {head.get('x-asked')!r}, not {asked}")
        if method == "HEAD":
            return head
        await read_content(self.reader, head, feed if feed and head.first[1] == "200" else _ignore, "close")
        return head

    def send_head(self, method, target, fields="", version="HTTP/1.1"):
        self.writer.write(f"{method} {target} {version}\r\nHost: shown.example\r\n{fields}\r\n".encode())

    async def continued(self):
        head = await read_head(self.reader)
        if head.first[1] != "100":
            raise NotHttp(f"{head.first[1]} where 100 was expected")

    async def head(self):
        """The final response's head; interim ones are passed over."""
        while True:
            head = await read_head(self.reader)
            if head.first[1][0] != "1" or head.first[1] == "101":
                return head

    def close(self):
        self.writer.close()

    def reset(self):
        """Ends the connection with RST instead of FIN."""
        link = self.writer.get_extra_info("socket")
        if link.fileno() >= 0:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def _ignore(_):
    pass


class ChunkDecoder:
    """Takes a chunked content as it arrives and gives the content bytes that are complete by then."""

    def __init__(self):
        self._raw, self._left = b"", 0

    def feed(self, data):
        self._raw += data
        found = []
        while self._raw:
            if self._left > 2:
                piece = self._raw[:self._left - 2]
                found.append(piece)
                self._raw, self._left = self._raw[len(piece):], self._left - len(piece)
            elif self._left:
                gone = min(self._left, len(self._raw))
                self._raw, self._left = self._raw[gone:], self._left - gone
            else:
                line, end, rest = self._raw.partition(b"\r\n")
                if not end:
                    break
                self._raw, self._left = rest, int(line.split(b";")[0], 16) + 2
        return b"".join(found)
