"""A client for the webhook: connections over TLS that stay open, at full speed or at a given rate."""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Sequence
from typing import cast

import uvloop

HEAD = (
    "POST /override?timeout=10s HTTP/1.1\r\nHost: overbook-webhook.overbook.svc:443\r\n"
    "User-Agent: kube-apiserver-admission\r\nAccept: application/json, */*\r\n"
    "Content-Type: application/json\r\nAccept-Encoding: gzip\r\nContent-Length: {}\r\n\r\n"
)


class Load:
    """The answers.

    Attributes:
        seconds: the duration of the load.
        latencies: the seconds of each request, from its planned time.
        refused: the number of answers that were not 200, or had no patch.
        answered: the number of all answers, with those after the end.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.latencies: list[float] = []
        self.refused = 0
        self.answered = 0

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def slowest(self) -> float:
        return max(self.latencies)

    def percentile(self, percent: float) -> float:
        return sorted(self.latencies)[min(len(self.latencies) - 1, int(len(self.latencies) * percent / 100))]


def offer(
    port: int, bodies: Sequence[bytes], *, connections: int, seconds: float, rate: float | None = None
) -> Load:
    """Send reviews for a while.

    Args:
        port: the webhook's port on the loopback interface.
        bodies: the reviews, sent in turn.
        connections: the number of connections.
        seconds: the duration.
        rate: requests a second; ``None``: each connection sends as soon as it has its answer.
    """
    return uvloop.run(_offer(port, [_request(body) for body in bodies], connections, seconds, rate))


def _request(body: bytes) -> bytes:
    return HEAD.format(len(body)).encode() + body


async def _offer(
    port: int, requests: list[bytes], connections: int, seconds: float, rate: float | None
) -> Load:
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    crowd = _Crowd(requests, paced=rate is not None)
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(crowd), "127.0.0.1", port, ssl=context)
    begin = time.perf_counter()
    crowd.begin()
    if rate is None:
        await asyncio.sleep(seconds)
    else:
        sent = 0
        while (now := time.perf_counter() - begin) < seconds:
            for number in range(sent, int(now * rate)):
                crowd.due(begin + number / rate)
            sent = int(now * rate)
            await asyncio.sleep(0.0005)
    crowd.load.seconds = time.perf_counter() - begin
    crowd.end()
    async with asyncio.timeout(30):
        await crowd.quiet.wait()
    for connection in crowd.everyone:
        connection.transport.close()
    return crowd.load


class _Crowd:
    """All connections: the idle ones, and the requests that wait for one."""

    def __init__(self, requests: list[bytes], *, paced: bool) -> None:
        self.load = Load()
        self.ending = False
        self.quiet = asyncio.Event()
        self._busy = 0
        self.everyone: list[_Connection] = []
        self._requests = requests
        self._paced = paced
        self._next = 0
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()

    def begin(self) -> None:
        for connection in self.everyone:
            if self._paced:
                self._idle.append(connection)
            else:
                self._send(connection, time.perf_counter())

    def end(self) -> None:
        """Send no more requests; ``quiet`` is set after the last answer."""
        self.ending = True
        if not self._busy:
            self.quiet.set()

    def due(self, when: float) -> None:
        if self._idle:
            self._send(self._idle.popleft(), when)
        else:
            self._waiting.append(when)

    def answered(self, connection: "_Connection", when_due: float, ok: bool) -> None:
        now = time.perf_counter()
        self._busy -= 1
        if self.ending and not self._busy:
            self.quiet.set()
        if not self.ending:
            self.load.latencies.append(now - when_due)
        self.load.answered += 1
        self.load.refused += not ok
        if self.ending:
            return
        if not self._paced:
            self._send(connection, now)
        elif self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _send(self, connection: "_Connection", when_due: float) -> None:
        self._busy += 1
        self._next += 1
        connection.send(self._requests[self._next % len(self._requests)], when_due)


class _Connection(asyncio.Protocol):
    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._received = b""
        self._due = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._crowd.everyone.append(self)

    def send(self, request: bytes, when_due: float) -> None:
        self._due = when_due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self._received.find(b"Content-Length: ") + 16
        length = int(self._received[at : self._received.find(b"\r\n", at)])
        if len(self._received) < end + 4 + length:
            return
        ok = self._received.startswith(b"HTTP/1.1 200") and b'"patch":' in self._received
        self._received = b""
        self._crowd.answered(self, self._due, ok)
