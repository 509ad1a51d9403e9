"""Bytes that both ends can make for themselves, so that a receiver checks every byte it gets.

A content is named by (seed, length). It is made of blocks; each begins with its seed and number and goes on
with a piece of one random table that starts at another place in every block. So a block that is lost, doubled,
moved or taken from another response is wrong within its first bytes.
"""

import random
import struct

BLOCK = 64 * 1024
_TABLE = random.Random(1989).randbytes(2 * BLOCK)


class WrongBytes(Exception):
    """A content differs from what was asked for."""


def block(seed, number):
    start = (seed * 7919 + number * 4099) % BLOCK
    return struct.pack(">QQ", seed, number) + _TABLE[start:start + BLOCK - 16]


def pieces(seed, length):
    """All of a content, a block at a time."""
    for number in range(0, (length + BLOCK - 1) // BLOCK):
        yield block(seed, number)[:length - number * BLOCK]


def whole(seed, length):
    return b"".join(pieces(seed, length))


class Verifier:
    """Takes a content as it arrives, in pieces of any size."""

    def __init__(self, seed, length):
        self.seed, self.length, self.received = seed, length, 0
        self._block, self._number = b"", -1

    def feed(self, data):
        """Raises WrongBytes with the place of the first wrong piece."""
        if self.received + len(data) > self.length:
            raise WrongBytes(f"content {self.seed}: more than its {self.length} bytes")
        at = 0
        while at < len(data):
            number, inside = divmod(self.received, BLOCK)
            if number != self._number:
                self._block, self._number = block(self.seed, number), number
            size = min(BLOCK - inside, len(data) - at)
            if data[at:at + size] != self._block[inside:inside + size]:
                raise WrongBytes(f"content {self.seed}: differs after byte {self.received} of {self.length}")
            self.received += size
            at += size

    def end(self):
        if self.received != self.length:
            raise WrongBytes(f"content {self.seed}: looks complete with {self.received} of {self.length} bytes")
