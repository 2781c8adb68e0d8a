import asyncio
import re

import pytest

from overbook.core.errors import InvalidInput
from overbook.probes.in_event_loop import ProbesInEventLoop
from overbook.probes.server import MOST_CONNECTIONS

SETTING = ("--listen", "HOST:PORT, such as 127.0.0.1:9714")


async def said(port: int, request: bytes) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


def served(*requests: bytes) -> list[str]:
    async def ask() -> list[str]:
        handlers = {
            "/healthz": lambda: (200, "text/plain", b"ok\n"),
            "/no": lambda: (503, "text/plain", b"no\n"),
        }
        server = ProbesInEventLoop("127.0.0.1:0", handlers, *SETTING)
        server.start()
        try:
            return [await said(server.port, request) for request in requests]
        finally:
            server.close()

    return asyncio.run(ask())


def test_a_path_is_answered_and_the_connection_closed() -> None:
    (answer,) = served(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith("HTTP/1.1 200 OK\r\n")
    assert "Content-Length: 3" in answer
    assert answer.endswith("\r\n\r\nok\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", 200),
        (b"GET /healthz?verbose HTTP/1.0\r\n\r\n", 200),
        (b"GET /no HTTP/1.1\r\n\r\n", 503),
        (b"GET /other HTTP/1.1\r\n\r\n", 404),
        (b"POST /healthz HTTP/1.1\r\n\r\n", 405),
        (b"rubbish\r\n\r\n", 400),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_all_other_requests_are_refused(request_: bytes, status: int) -> None:
    (answer,) = served(request_)
    assert re.match(rf"HTTP/1.1 {status} ", answer), answer
    if request_.startswith(b"HEAD"):
        assert answer.endswith("\r\n\r\n")


def test_a_probe_finds_a_place_among_idle_connections() -> None:
    async def crowd() -> str:
        server = ProbesInEventLoop(
            "127.0.0.1:0", {"/healthz": lambda: (200, "text/plain", b"ok\n")}, *SETTING
        )
        server.start()
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(MOST_CONNECTIONS)]
        try:
            return await said(server.port, b"GET /healthz HTTP/1.1\r\n\r\n")
        finally:
            for _, each in idle:
                each.close()
            server.close()

    assert asyncio.run(crowd()).startswith("HTTP/1.1 200 OK")


@pytest.mark.parametrize("address", ["9714", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:http"])
def test_an_invalid_address_is_refused_in_words(address: str) -> None:
    with pytest.raises(InvalidInput, match="HOST:PORT"):
        ProbesInEventLoop(address, {}, *SETTING)
