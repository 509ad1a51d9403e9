"""Contents far larger than footbridge's memory pass through it, bit for bit."""

import asyncio
import time

from . import backend, content, wire
from .processes import MemorySampler, Peer
from .report import mebibytes

MEMORY = 4 * 2**20
SEED = 11


def show(stage):
    size = stage.size(2 * 10**9, 100 * 10**6)
    stage.report.part("large", f"{size / 10**9:g} GB each way, with Content-Length and chunked")
    with Peer(backend.serve, seconds=900) as peer, \
            stage.footbridge([("127.0.0.1", peer.receive())]) as bridge, \
            MemorySampler(bridge.pid, seconds=900) as memory:
        for way, framing in [("download", "length"), ("download", "chunked"), ("download", "close"),
                             ("upload", "length"), ("upload", "chunked")]:
            with Peer(_transfer, bridge.address, way, framing, size, seconds=300) as client:
                verdict, seconds = client.receive(300)
            stage.report.check(f"{way}, {framing}", verdict == "bit for bit",
                               f"{verdict}, {size / seconds / 10**6:.0f} MB/s", "bit for bit")
        samples = [size for _, size in memory.end()]
        stage.report.check(f"memory all along, {len(samples)} samples", max(samples) < MEMORY,
                           f"at most {mebibytes(max(samples))}", f"below {mebibytes(MEMORY)}")
        bridge.check_log(stage.report)
    stage.report.end_part()


def _transfer(pipe, address, way, framing, size):
    began = time.monotonic()
    try:
        asyncio.run((_download if way == "download" else _upload)(address, framing, size))
        verdict = "bit for bit"
    except (content.WrongBytes, wire.NotHttp, asyncio.IncompleteReadError, ConnectionError) as wrong:
        verdict = f"{type(wrong).__name__}: {wrong}"
    pipe.send((verdict, time.monotonic() - began))


async def _download(address, framing, size):
    client = await wire.Client.connect(address)
    verifier = content.Verifier(SEED, size)
    _must_be_200(await client.ask("GET", f"/content?n={size}&seed={SEED}&framing={framing}", feed=verifier.feed))
    verifier.end()
    client.close()


async def _upload(address, framing, size):
    """The backend checks each byte, and its X-Asked is the checksum of what arrived."""
    client = await wire.Client.connect(address)
    upload = wire.Upload(SEED, size, chunked=framing == "chunked")
    _must_be_200(await client.ask("PUT", f"/content?up={size}&upseed={SEED}", upload))
    client.close()


def _must_be_200(head):
    if head.first[1] != "200":
        raise wire.NotHttp(f"status {head.first[1]}")
