"""As much of RFC 6455 as an echo needs: the handshake and unfragmented frames up to 64 KiB."""

import base64
import hashlib
import os
import struct

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY = 0x82


def key():
    return base64.b64encode(os.urandom(16)).decode()


def accept(its_key):
    return base64.b64encode(hashlib.sha1(its_key.encode() + _GUID).digest()).decode()


def upgrade_fields(its_key):
    return ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {its_key}\r\n")


def frame(data, masked):
    """A client masks its frames (§5.1), a server does not."""
    mask_bit = 0x80 if masked else 0
    if len(data) < 126:
        head = bytes([_BINARY, mask_bit | len(data)])
    else:
        head = bytes([_BINARY, mask_bit | 126]) + struct.pack(">H", len(data))
    if not masked:
        return head + data
    mask = os.urandom(4)
    return head + mask + _xor(data, mask)


async def read_frame(reader):
    _, size = await reader.readexactly(2)
    masked, size = size & 0x80, size & 0x7F
    if size == 126:
        size, = struct.unpack(">H", await reader.readexactly(2))
    mask = await reader.readexactly(4) if masked else None
    data = await reader.readexactly(size)
    return _xor(data, mask) if mask else data


def _xor(data, mask):
    # As one big number: byte by byte would make Python the slowest part of a demonstration.
    repeated = (mask * (len(data) // 4 + 1))[:len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(data), "big")
