"""Load on keep-alive connections, light enough that thousands of requests a second fit beside what is shown.

Two kinds, each the work of a Peer: `visitors` are so many clients who think between their requests; `arrivals`
come at a rate, at random, whether the earlier ones are answered or not, and are timed from when they were due.
Both say "running", go on until they are told to end, wait for what is under way, and send a list of `Done`.
"""

import asyncio
import collections
import random
import time

from . import content

#: Longer than the 60 s that footbridge gives a backend: what takes longer has no answer at all.
PATIENCE = 75.0
LENGTHS = [0, 100, 1000, 4000]
SEEDS = 8

#: `status` 0: no answer; `detail` then says why, and what is wrong with an answer. `identity`: that of a POST.
Done = collections.namedtuple("Done", "began took status backend detail identity")


class NoAnswer(Exception):
    """A connection ended, or stayed silent, where a response was due."""


def visitors(pipe, address, clients, think, posts=0.0, seed=1):
    """`think`: (least, most) seconds between an answer and the next request; `posts`: their part of all requests."""
    pipe.send("running")
    pipe.send(asyncio.run(_visitors(pipe, address, clients, think, posts, seed)))


def arrivals(pipe, address, rate, seed=1):
    """GETs, `rate` of them a second, as a Poisson process."""
    pipe.send("running")
    pipe.send(asyncio.run(_arrivals(pipe, address, rate, seed)))


async def _visitors(pipe, address, clients, think, posts, seed):
    done, going = [], [True]
    tasks = [asyncio.create_task(_visitor(address, think, posts, str(each), random.Random(seed + each), done, going))
             for each in range(clients)]
    await _until_told(pipe)
    going.clear()
    await asyncio.gather(*tasks)
    return done


async def _visitor(address, think, posts, name, chance, done, going):
    link = Link(address)
    await asyncio.sleep(chance.uniform(0, think[1]))
    number = 0
    while going:
        number += 1
        identity = f"{name}.{number}" if chance.random() < posts else None
        done.append(await _one(link, chance, time.monotonic(), identity))
        await asyncio.sleep(chance.uniform(*think))
    link.close()


async def _arrivals(pipe, address, rate, seed):
    chance, done, free, tasks = random.Random(seed), [], [], set()
    told = asyncio.create_task(_until_told(pipe))
    due = time.monotonic()
    while not told.done():
        due += chance.expovariate(rate)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.create_task(_arrival(address, chance, due, free, done))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for link in free:
        link.close()
    return done


async def _arrival(address, chance, due, free, done):
    link = free.pop() if free else Link(address)
    done.append(await _one(link, chance, due, None))
    free.append(link)


async def _until_told(pipe):
    while not pipe.poll():
        await asyncio.sleep(0.05)
    pipe.receive()


async def _one(link, chance, began, identity):
    """A POST with that identity, or a GET of some content; what came of it."""
    if identity:
        method, target, wanted, upload = "POST", f"/count/{identity}", identity.encode(), b"x" * 50
    else:
        length, seed = chance.choice(LENGTHS), chance.randrange(SEEDS)
        method, target, wanted, upload = "GET", f"/content?n={length}&seed={seed}", _content(seed, length), b""
    try:
        status, backend, body = await asyncio.wait_for(link.ask(method, target, upload), PATIENCE)
        detail = "other bytes than were asked for" if status == 200 and body != wanted else ""
    except (OSError, NoAnswer, ValueError, asyncio.TimeoutError) as failure:
        status, backend, detail = 0, "", f"{type(failure).__name__}: {failure}"
        link.close()
    return Done(began, time.monotonic() - began, status, backend, detail, identity)


_CONTENTS = {}


def _content(seed, length):
    if (seed, length) not in _CONTENTS:
        _CONTENTS[seed, length] = content.whole(seed, length)
    return _CONTENTS[seed, length]


class Link:
    """A keep-alive connection, opened when it is needed; one request at a time."""

    def __init__(self, address):
        self._address, self._stream = address, None

    async def ask(self, method, target, upload=b""):
        """(status, X-Backend, content); NoAnswer if there is none that is complete."""
        if self._stream is None or self._stream.transport.is_closing():
            _, self._stream = await asyncio.get_running_loop().create_connection(_Stream, *self._address)
        framing = f"Content-Length: {len(upload)}\r\n" if upload else ""
        return await self._stream.ask(
            f"{method} {target} HTTP/1.1\r\nHost: shown.example\r\n{framing}\r\n".encode() + upload)

    def close(self):
        if self._stream:
            self._stream.transport.abort()
        self._stream = None


class _Stream(asyncio.Protocol):
    """One connection's bytes, as far as its present response."""

    def connection_made(self, transport):
        self.transport, self._got, self._waiter = transport, b"", None

    def ask(self, request):
        self._got, self._waiter = b"", asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._waiter

    def data_received(self, data):
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or not self._waiter or self._waiter.done():
            return
        try:
            if len(body) < int(_field(head, b"content-length")):
                return
            if b"close" in _field(head, b"connection"):
                self.transport.close()
            self._waiter.set_result((int(head.split(b" ", 2)[1]), _field(head, b"x-backend").decode(), body))
        except (ValueError, IndexError):
            self._waiter.set_exception(NoAnswer(f"not a response that is expected here: {head[:60]!r}"))

    def connection_lost(self, _):
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(NoAnswer(f"closed after {len(self._got)} bytes of an answer"))


def _field(head, name):
    return (head + b"\r\n").lower().partition(b"\r\n" + name + b":")[2].partition(b"\r\n")[0].strip()


def failures(done):
    """Those not answered with 200 and the right bytes."""
    return [each for each in done if each.status != 200 or each.detail]


def explain(report, failed):
    """The most frequent kinds of failure, a line each."""
    kinds = collections.Counter(each.detail or f"status {each.status}" for each in failed)
    for kind, number in kinds.most_common(5):
        report.note(f"{number:,} times: {kind}")
