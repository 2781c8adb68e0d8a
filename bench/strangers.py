"""What strangers may do to a port, each as a process of its own: ``python -m bench.strangers NAME PORT``.

Each goes on until it is ended; connections that are closed are opened again.
"""

import asyncio
import os
import resource
import ssl
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import cycle
from typing import Final

import msgspec

SOURCE: Final = ("127.0.0.2",)
PEERS: Final = tuple(f"127.1.{number // 250}.{number % 250 + 1}" for number in range(500))
RESET: Final = struct.pack("ii", 1, 0)
POST: Final = "POST /override HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{}\r\n\r\n"
GET: Final = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Target:
    """A port, and the addresses from which it is attacked."""

    def __init__(self, port: int, *, tls: bool, sources: tuple[str, ...] = SOURCE) -> None:
        self._port = port
        self._sources = cycle(sources)
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.create_default_context()
            self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE

    async def connect(self, *, plain: bool = False) -> Stream:
        return await asyncio.open_connection(
            "127.0.0.1",
            self._port,
            local_addr=(next(self._sources), 0),
            ssl=None if plain else self._context,
        )


Life = Callable[[Stream], Awaitable[None]]


async def _crowd(number: int, life: Life, target: Target, *, plain: bool = False, pause: float = 0.5) -> None:
    """Keep that many connections, each with its life."""

    async def one() -> None:
        while True:
            try:
                stream = await target.connect(plain=plain)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(max(pause, 0.05))
                continue
            with suppress(Exception):  # whatever the end of a connection looks like, another one is opened
                await life(stream)
            stream[1].transport.abort()
            await asyncio.sleep(pause)

    await asyncio.gather(*(one() for _ in range(number)))


def _says(data: bytes, *, half_closed: bool = False, reads: bool = True) -> Life:
    """Send something, and then wait: until the other side closes, or without reading at all."""

    async def life(stream: Stream) -> None:
        reader, writer = stream
        if not reads:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a stream's transport
        writer.write(data)
        if half_closed:
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.transport.get_extra_info("socket").shutdown(1)
        while reads and await reader.read(1 << 16):
            pass
        if not reads:
            await asyncio.sleep(3.0)

    return life


def _dribbles(before: bytes, byte: bytes) -> Life:
    async def life(stream: Stream) -> None:
        stream[1].write(before)
        while not stream[0].at_eof():
            stream[1].write(byte)
            await asyncio.sleep(1.0)

    return life


def _pours(before: bytes, again: bytes) -> Life:
    async def life(stream: Stream) -> None:
        stream[1].write(before)
        while not stream[1].is_closing():
            stream[1].write(again)
            await stream[1].drain()
            await asyncio.sleep(0)

    return life


async def _resets(stream: Stream) -> None:
    stream[1].transport.get_extra_info("socket").setsockopt(1, 13, RESET)  # SO_LINGER


async def _closes(_: Stream) -> None:
    """Open a connection and close it at once."""


def _posted(body: bytes) -> bytes:
    return POST.format(f"Content-Length: {len(body)}").encode() + body


def _review(namespace: str, containers: int = 1) -> bytes:
    one = {"name": "a", "resources": {"limits": {"memory": "1Gi", "cpu": "2"}}}
    request = {
        "uid": "a",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "namespace": namespace,
        "operation": "CREATE",
        "object": {"spec": {"containers": [one] * containers}},
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return msgspec.json.encode(review)


async def _invents(stream: Stream) -> None:
    """Send reviews of namespaces that do not exist, each of another."""
    reader, writer = stream
    while True:
        writer.write(_posted(_review(os.urandom(20).hex())))
        await reader.readuntil(b"}}")


def _announced(length: int, sent: bytes = b"") -> bytes:
    return POST.format(f"Content-Length: {length}").encode() + sent


_CHUNKED: Final = POST.format("Transfer-Encoding: chunked").encode()
_FIELDS: Final = b"".join(b"X-%d: a\r\n" % number for number in range(10_000))
_OBJECTS: Final = (
    b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"a","operation":"CREATE",'
    b'"kind":{"version":"v1","kind":"Pod"},"namespace":"shop-0","object":{"spec":{"containers":['
    + b",".join([b"{}"] * 2_300_000)
    + b"]}}}}"
)
_HELLO: Final = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03" + b"\0" * 10_000
"""The first 10,000 bytes of a handshake's first message of 16 KiB."""

Attack = Callable[[int], Awaitable[None]]


def _on(
    number: int,
    life: Life,
    *,
    tls: bool,
    plain: bool = False,
    pause: float = 0.5,
    sources: tuple[str, ...] = SOURCE,
) -> Attack:
    return lambda port: _crowd(number, life, Target(port, tls=tls, sources=sources), plain=plain, pause=pause)


REVIEWS: Final[dict[str, Attack]] = {
    "3,000 connections without a byte": _on(3000, _says(b""), tls=True, plain=True),
    "1,024 idle connections": _on(1024, _says(b""), tls=True),
    "1,024 with 65 kB of a body": _on(1024, _says(_announced(70_000, b" " * 65_000)), tls=True),
    "1,024 bodies announced, not sent": _on(1024, _says(_announced(8 << 20)), tls=True),
    "30 reviews of 7 MB": _on(30, _says(_posted(_review("n" * 7_000_000))), tls=True),
    "8 reviews of 2.3 million objects": _on(8, _says(_posted(_OBJECTS)), tls=True),
    "reviews of invented namespaces": _on(16, _invents, tls=True),
    "200 kB of requests, nothing read": _on(16, _says(_posted(_review("a")) * 600, reads=False), tls=True),
    "64 answers of 200 kB, nothing read": _on(
        64, _says(_posted(_review("shop-0", 1000)), reads=False), tls=True, pause=0.1
    ),
    "1,024 handshakes that do not end": _on(1024, _says(_HELLO), tls=True, plain=True),
    "handshakes, closed at once": _on(64, _closes, tls=True, pause=0.0),
    "connections, reset at once": _on(64, _resets, tls=True, plain=True, pause=0.0),
    "512 heads, a byte a second": _on(512, _dribbles(b"POST /override HTTP/1.1\r\nX: ", b"a"), tls=True),
    "512 bodies, a byte a second": _on(512, _dribbles(_announced(1 << 20), b" "), tls=True),
    "256 half-closed": _on(
        256, _says(_posted(_review("shop-0", 200)), half_closed=True, reads=False), tls=True
    ),
    "10,000 header fields": _on(64, _says(b"GET / HTTP/1.1\r\n" + _FIELDS + b"\r\n"), tls=True, pause=0.0),
    "a header field without an end": _on(
        16, _pours(b"GET / HTTP/1.1\r\nX: ", b"a" * 65_536), tls=True, pause=0.0
    ),
    "chunks of a byte": _on(16, _pours(_CHUNKED, b"1\r\na\r\n" * 10_000), tls=True, pause=0.0),
    "500 addresses, 2 idle connections each": _on(1000, _says(b""), tls=True, sources=PEERS),
    "500 addresses, 65 kB of a body each": _on(
        500, _says(_announced(70_000, b" " * 65_000)), tls=True, sources=PEERS
    ),
}
"""Attacks on the port for reviews."""

STATUS: Final[dict[str, Attack]] = {
    "1,024 idle connections": _on(1024, _says(b""), tls=False),
    "32 connections, renewed": _on(32, _says(b""), tls=False, pause=0.0),
    "200 kB of requests, nothing read": _on(16, _says(GET * 5_500, reads=False), tls=False),
    "600 answers, nothing read": _on(600, _says(GET, reads=False), tls=False),
    "256 half-closed": _on(256, _says(GET, half_closed=True, reads=False), tls=False),
    "requests without a pause": _on(32, _says(GET), tls=False, pause=0.0),
    "connections, reset at once": _on(64, _resets, tls=False, pause=0.0),
    "512 requests, a byte a second": _on(512, _dribbles(b"GET /metrics HTTP/1.1\r\nX: ", b"a"), tls=False),
    "10,000 header fields": _on(64, _says(b"GET / HTTP/1.1\r\n" + _FIELDS), tls=False, pause=0.0),
    "500 addresses, 2 idle connections each": _on(1000, _says(b""), tls=False, sources=PEERS),
}
"""Attacks on a port for metrics or probes."""


async def _calm(_: int) -> None:
    await asyncio.Event().wait()


CALM: Final[dict[str, Attack]] = {"no attack": _calm}
"""For comparison."""


def main() -> None:
    _, kind, name, port = sys.argv
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    attack = {"calm": CALM, "reviews": REVIEWS, "status": STATUS}[kind][name]

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        await attack(int(port))

    asyncio.run(run())


if __name__ == "__main__":
    main()
