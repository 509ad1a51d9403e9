"""The mixed load of a soak: actors of many kinds at once, each in an endless row of short sessions.

A session that is meant to work checks every byte and raises what is wrong. One that is meant to fail (it
aborts, or asks the backend to fail) checks that the failure cannot be taken for a complete response.
"""

import asyncio
import collections
import random
import time

from . import content, websocket, wire

#: Who takes part, and how many of each, in each of the client processes.
ACTORS = {}
#: No session takes nearly as long; one that does is stuck.
STUCK = 60.0
KEPT_TEXTS = 20


def actor(number):
    def enter(session):
        ACTORS[session] = number
        return session
    return enter


class Refused(Exception):
    """A request that had to work was answered with another status than 200."""


class Load:
    """What the sessions share. `tally` counts sessions, requests and bytes."""

    def __init__(self, address, seed):
        self.address, self.chance = address, random.Random(seed)
        self.tally, self.over = collections.Counter(), False
        self.wrong, self.failed = [], []

    async def connect(self, receive_buffer=None):
        return await wire.Client.connect(self.address, receive_buffer)

    async def good(self, client, length=None, framing=None, more="", upload=None, **how):
        """A request that must work, with everything about it checked. Whether the connection goes on."""
        chance = self.chance
        length = chance.choice([0, 1, 100, 1000, 1000, 8000, 65536, 200_000]) if length is None else length
        seed = chance.randrange(1 << 20)
        target = f"/content?n={length}&seed={seed}&framing={framing or _framing(chance)}{more}"
        method = "GET"
        if upload:
            target += f"&up={upload.length}&upseed={upload.seed}"
            method = chance.choice(["POST", "PUT", "PATCH"])
        elif chance.random() < 0.1:
            method = chance.choice(["HEAD", "DELETE", "OPTIONS"])
        verifier = content.Verifier(seed, length)
        head = await client.ask(method, target, upload, feed=verifier.feed, **how)
        self.must_be_200(head, f"{method} {target}")
        if method != "HEAD":
            verifier.end()
        self.tally["requests"] += 1
        self.tally["bytes"] += verifier.received + (upload.length if upload else 0)
        return "close" not in head.get("connection") and (
            "content-length" in head.fields or head.get("transfer-encoding") == "chunked")

    def must_be_200(self, head, what):
        if head.first[1] != "200":
            raise Refused(f"{what}: {' '.join(head.first[1:])}")

    def upload(self, largest, expect=0.0):
        chance = self.chance
        return wire.Upload(chance.randrange(1 << 20), chance.randrange(largest), chunked=chance.random() < 0.5,
                           expect=chance.random() < expect)

    async def leave(self, client):
        """Closes in one of the ways that clients do."""
        client.reset() if self.chance.random() < 0.3 else client.close()


def _framing(chance):
    return chance.choices(["length", "chunked", "close"], [6, 4, 1])[0]


@actor(10)
async def keep_alive(load):
    client = await load.connect()
    for _ in range(load.chance.randrange(1, 100)):
        upload = load.upload(20_000) if load.chance.random() < 0.2 else None
        if not await load.good(client, upload=upload):
            break
        await asyncio.sleep(load.chance.random() * 0.02)
    await load.leave(client)


@actor(4)
async def closing(load):
    client = await load.connect()
    if load.chance.random() < 0.3:
        await load.good(client, version="HTTP/1.0")
    else:
        await load.good(client, fields="Connection: close\r\n")
    if await client.reader.read(1) != b"":
        raise content.WrongBytes("bytes after the end of a response")
    client.close()


@actor(3)
async def pipelining(load):
    client = await load.connect()
    wanted = [(load.chance.randrange(1000), load.chance.randrange(30_000)) for _ in range(load.chance.randrange(2, 7))]
    targets = [f"/content?n={length}&seed={seed}&framing=length" for seed, length in wanted]
    for target in targets:
        client.send_head("GET", target)
    for target, (seed, length) in zip(targets, wanted):
        head = await client.head()
        load.must_be_200(head, target)
        verifier = content.Verifier(seed, length)
        await wire.read_content(client.reader, head, verifier.feed, "close")
        verifier.end()
        load.tally["requests"] += 1
    await load.leave(client)


@actor(1)
async def large_download(load):
    client = await load.connect()
    await load.good(client, length=load.chance.randrange(1 << 20, 1 << 24))
    await load.leave(client)
    await asyncio.sleep(0.5)


@actor(1)
async def large_upload(load):
    client = await load.connect()
    await load.good(client, upload=load.upload(1 << 23, expect=0.3))
    await load.leave(client)
    await asyncio.sleep(0.5)


@actor(4)
async def tunnel(load):
    client, key = await load.connect(), websocket.key()
    client.send_head("GET", "/websocket", websocket.upgrade_fields(key))
    head = await client.head()
    if head.first[1] != "101" or head.get("sec-websocket-accept") != websocket.accept(key):
        raise Refused(f"WebSocket handshake: {head.first[1]}")
    for _ in range(load.chance.randrange(30)):
        data = content.whole(load.chance.randrange(1000), load.chance.choice([0, 5, 125, 126, 4000, 60_000]))
        client.writer.write(websocket.frame(data, masked=True))
        if await websocket.read_frame(client.reader) != data:
            raise content.WrongBytes("WebSocket: another frame than was sent")
        load.tally["bytes"] += 2 * len(data)
        await asyncio.sleep(load.chance.choice([0, 0, 0.01, 0.5]))
    await load.leave(client)


@actor(3)
async def slow_head(load):
    client, target = await load.connect(), "/content?n=5000&seed=4"
    for byte in f"GET {target} HTTP/1.1\r\nHost: shown.example\r\nConnection: close\r\n\r\n":
        client.writer.write(byte.encode())
        await asyncio.sleep(0.03)
    head, verifier = await client.head(), content.Verifier(4, 5000)
    load.must_be_200(head, target)
    await wire.read_content(client.reader, head, verifier.feed, "close")
    verifier.end()
    client.close()


@actor(3)
async def slow_upload(load):
    client = await load.connect()
    upload = wire.Upload(2, 20_000)
    target = "/content?n=100&seed=9&up=20000&upseed=2"
    client.send_head("POST", target, upload.fields())
    data = content.whole(2, 20_000)
    for at in range(0, len(data), 500):
        client.writer.write(data[at:at + 500])
        await asyncio.sleep(0.05)
    head, verifier = await client.head(), content.Verifier(9, 100)
    load.must_be_200(head, target)
    await wire.read_content(client.reader, head, verifier.feed, "close")
    verifier.end()
    await load.leave(client)


@actor(3)
async def slow_reader(load):
    client = await load.connect(receive_buffer=8192)
    seed, framing = load.chance.randrange(1000), _framing(load.chance)
    target = f"/content?n=400000&seed={seed}&framing={framing}&small=1"
    client.send_head("GET", target, "Connection: close\r\n")
    head, verifier = await client.head(), content.Verifier(seed, 400_000)
    load.must_be_200(head, target)
    await asyncio.sleep(load.chance.random() * 3)
    await wire.read_content(client.reader, head, verifier.feed, "close")
    verifier.end()
    await load.leave(client)


@actor(2)
async def given_up_head(load):
    """Never finishes its head: refused in time, or gone first."""
    client = await load.connect()
    client.writer.write(b"GET /content HTTP/1.1\r\nX: ")
    try:
        answer = await asyncio.wait_for(client.reader.read(100), load.chance.uniform(1, 20))
        if answer and not answer.startswith(b"HTTP/1.1 408"):
            raise content.WrongBytes(f"half a head answered with {answer[:40]!r}")
    except asyncio.TimeoutError:
        pass
    await load.leave(client)


@actor(4)
async def aborting(load):
    """Leaves in each phase of an exchange, by FIN or RST."""
    client, chance = await load.connect(), load.chance
    upload = b"POST /content?up=100000&upseed=1 HTTP/1.1\r\nHost: shown.example\r\nContent-Length: 100000\r\n\r\n"
    get = b"GET /content?n=3000000&seed=1%s HTTP/1.1\r\nHost: shown.example\r\n\r\n"
    phases = {
        "connected": b"", "in the request line": b"GET /con", "in the head": get[:60], "before the content": upload,
        "in the content": upload + content.whole(1, chance.randrange(1, 100_000)),
        "in a chunk": b"POST /content?up=255&upseed=1 HTTP/1.1\r\nHost: shown.example\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\nff\r\n" + content.whole(1, chance.randrange(255)),
        "before the response": get % b"&delay=0.3", "in the response": get % b"",
        "in a chunked response": get % b"&framing=chunked", "with more to come": (get % b"") * 4,
        "in an upgrade": b"GET /websocket HTTP/1.1\r\nHost: a\r\n" + websocket.upgrade_fields("a").encode() + b"\r\n"}
    phase = chance.choice(list(phases))
    client.writer.write(phases[phase])
    await client.writer.drain()
    if "response" in phase and "before" not in phase or "more" in phase:
        await client.reader.readexactly(chance.randrange(1, 200_000))
    await asyncio.sleep(chance.choice([0, 0.005, 0.1]))
    load.tally[f"aborted {phase}"] += 1
    await load.leave(client)


@actor(3)
async def failing_backend(load):
    """Asks for a failure: a 502, or a response that is visibly cut; never one that looks complete."""
    client, chance = await load.connect(), load.chance
    how = chance.choice(["reset", "close", "cut", "cut-chunked", "garbage", "half-head"])
    load.tally[f"backend: {how}"] += 1
    client.send_head("GET", f"/fail?how={how}")
    try:
        head = await client.head()
        await wire.read_content(client.reader, head, lambda _: None, "close")
        if head.first[1] != "502":
            raise content.WrongBytes(f"backend fails by {how}: answered with a complete {head.first[1]}")
    except (EOFError, ConnectionError):
        if not how.startswith("cut"):
            raise Refused(f"backend fails by {how}: connection cut instead of a 502") from None
    await load.leave(client)
    await asyncio.sleep(0.05)


def run(pipe, address, seed):
    """The work of a Peer. Sends its tally each second, at the end all it found."""
    pipe.send("running")
    pipe.send(asyncio.run(_run(pipe, Load(address, seed))))


async def _run(pipe, load):
    sessions = [asyncio.create_task(_sessions(load, each)) for each, number in ACTORS.items() for _ in range(number)]
    while not pipe.poll():
        await asyncio.sleep(0.1)
    load.over = True
    _, stuck = await asyncio.wait(sessions, timeout=STUCK)
    load.failed += [f"stuck: {each}" for each in stuck]
    return load.tally, load.wrong, load.failed


async def _sessions(load, session):
    while not load.over:
        began = time.monotonic()
        try:
            await asyncio.wait_for(session(load), STUCK)
            load.tally[f"sessions: {session.__name__}"] += 1
        except (content.WrongBytes, wire.NotHttp, ValueError) as wrong:
            _keep(load, load.wrong, "wrong", f"{session.__name__}: {type(wrong).__name__}: {wrong}")
        except (Refused, OSError, EOFError, asyncio.TimeoutError) as failure:
            took = time.monotonic() - began
            _keep(load, load.failed, "failed", f"{session.__name__}: {type(failure).__name__}: {failure} ({took:.1f} s)")
            await asyncio.sleep(0.1)
        await asyncio.sleep(load.chance.random() * 0.02)


def _keep(load, texts, kind, text):
    load.tally[kind] += 1
    if len(texts) < KEPT_TEXTS:
        texts.append(ascii(text)[1:200])
