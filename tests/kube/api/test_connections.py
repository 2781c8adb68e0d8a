import asyncio
import time

import pytest

from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.connection import MOST_IDLE
from overbook.kube.api.errors import ApiError, ApiUnavailable, NotSent
from overbook.kube.api.kinds import NODES
from overbook.kube.api.transport import TURNS
from tests.kube.api.scripted_server import Served, answer, chunked, serving
from tests.running import until

NODE = b'{"metadata":{"name":"a"}}'


async def answering(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await served.asked(reader)
        writer.write(answer(NODE))


async def answering_once(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer once and then close the connection without a word, as a server with an idle limit does."""
    await served.asked(reader)
    writer.write(answer(NODE))
    await writer.drain()
    await served.asked(reader)


def client_of(served: Served, timeout_seconds: float = 20.0) -> Client:
    return Client(ClusterConfig(server=served.server), timeout_seconds=timeout_seconds)


def test_one_connection_serves_many_requests() -> None:
    async def story() -> None:
        async with serving(answering) as served:
            client = client_of(served)
            for _ in range(5):
                await client.get(NODES, "a")
            assert served.connections == 1
            assert "User-Agent: overbook\r\n" in served.heads[0]
            await client.close()

    asyncio.run(story())


def test_concurrent_requests_and_kept_connections_are_bounded() -> None:
    async def story() -> None:
        at_once = most = 0

        async def slow(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal at_once, most
            while True:
                await served.asked(reader)
                at_once += 1
                most = max(most, at_once)
                await asyncio.sleep(0.02)
                at_once -= 1
                writer.write(answer(NODE))

        async with serving(slow) as served:
            client = client_of(served)
            await asyncio.gather(*(client.get(NODES, "a") for _ in range(30)))
            assert most == TURNS
            assert len(client._transport._pool._idle) == MOST_IDLE
            await client.close()

    asyncio.run(story())


def test_a_read_on_a_closed_connection_is_retried_once() -> None:
    async def story() -> None:
        async with serving(answering_once) as served:
            client = client_of(served)
            for _ in range(4):
                assert (await client.get(NODES, "a")).metadata.name == "a"
            await client.close()
            assert served.connections == 4

    asyncio.run(story())


def test_a_write_on_a_closed_connection_is_not_retried() -> None:
    async def story() -> None:
        async with serving(answering_once) as served:
            client = client_of(served)
            await client.get(NODES, "a")
            with pytest.raises(ApiUnavailable, match=r"POST /api/v1/nodes: 127.*without an answer"):
                await client.create(NODES, {"metadata": {"name": "a"}})
            assert len(served.heads) == 2
            await client.close()

    asyncio.run(story())


def test_a_silent_server_is_given_up_in_time() -> None:
    async def silent(served: Served, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await served.asked(reader)
        await asyncio.Event().wait()

    async def story() -> None:
        async with serving(silent) as served:
            client = client_of(served, timeout_seconds=0.3)
            began = time.monotonic()
            with pytest.raises(ApiUnavailable, match=r"did not answer within 0\.3 s"):
                await client.get(NODES, "a")
            assert time.monotonic() - began < 10
            await client.close()

    asyncio.run(story())


def test_the_limit_of_a_list_grows_with_timeouts_and_shrinks() -> None:
    """An API server that needs longer than a client waits works for nothing, and never gets through."""
    pause = 0.5

    async def slow(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await served.asked(reader)
            await asyncio.sleep(pause)
            writer.write(answer(b'{"metadata":{"resourceVersion":"1"},"items":[]}'))

    async def limit(client: Client) -> str:
        try:
            async for _ in client.list(NODES):
                pass
        except ApiUnavailable as error:
            return str(error).rpartition("within ")[2]
        return "answered"

    async def story() -> None:
        nonlocal pause
        async with serving(slow) as served:
            client = client_of(served, timeout_seconds=0.2)
            # An answer that needs longer than the first limit keeps most of the longer one.
            assert [await limit(client) for _ in range(4)] == ["0.2 s", "0.4 s", "answered", "0.4 s"]
            with pytest.raises(ApiUnavailable, match=r"within 0\.2 s"):
                await client.get(NODES, "a")  # one small object is not waited for longer
            pause = 0.0
            assert await limit(client) == "answered"
            pause = 0.5
            assert await limit(client) == "0.2 s"
            await client.close()

    asyncio.run(story())


def test_a_request_that_gets_no_turn_is_said_not_to_be_sent() -> None:
    async def silent(served: Served, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await served.asked(reader)
        await asyncio.Event().wait()

    async def story() -> None:
        async with serving(silent) as served:
            client = Client(ClusterConfig(server=served.server), timeout_seconds=0.5, turns=2)
            held = [asyncio.create_task(client.evict("n", f"p{number}", uid="u")) for number in range(2)]
            await asyncio.sleep(0.3)
            late = asyncio.create_task(client.evict("n", "late", uid="u"))  # gets its turn at 0.5 s
            for task in held:
                with pytest.raises(ApiUnavailable, match=r"did not answer within 0\.5 s"):
                    await task
            with pytest.raises(ApiUnavailable, match=r"did not answer within 0\.5 s"):
                await late
            assert len(served.heads) == 3
            client._transport._turns = asyncio.Semaphore(0)
            with pytest.raises(NotSent, match=r"not sent: other requests to .* took all turns"):
                await client.evict("n", "never", uid="u")
            assert len(served.heads) == 3
            await client.close()

    asyncio.run(story())


def test_kept_connections_are_not_trusted_after_a_silence() -> None:
    async def falling_silent(
        served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        number = served.connections
        await served.asked(reader)
        writer.write(answer(NODE))
        if number > 2:
            await answering(served, reader, writer)
        await served.asked(reader)
        await asyncio.Event().wait()

    async def story() -> None:
        async with serving(falling_silent) as served:
            client = client_of(served, timeout_seconds=2.0)
            await asyncio.gather(client.get(NODES, "a"), client.get(NODES, "a"))
            with pytest.raises(ApiUnavailable, match="did not answer"):
                await client.get(NODES, "a")
            assert (await client.get(NODES, "a")).metadata.name == "a"
            await client.close()

    asyncio.run(story())


def test_a_server_that_sends_byte_by_byte_is_given_up_in_time() -> None:
    async def dripping(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await served.asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.05)

    async def story() -> None:
        async with serving(dripping) as served:
            client = client_of(served, timeout_seconds=0.3)
            with pytest.raises(ApiUnavailable, match=r"did not answer within 0\.3 s"):
                await client.get(NODES, "a")
            await client.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    "raw",
    [
        answer(NODE) + b"stray bytes",
        answer(NODE, 200, "Connection: close"),
        chunked(NODE).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_a_connection_in_doubt_is_not_used_again(raw: bytes) -> None:
    async def odd(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await served.asked(reader)
        writer.write(raw)
        await served.asked(reader)
        writer.write(answer(b'{"metadata":{"name":"second"}}'))

    async def story() -> None:
        async with serving(odd) as served:
            client = client_of(served)
            for _ in range(2):
                assert (await client.get(NODES, "a")).metadata.name == "a"
            assert served.connections == 2
            await client.close()

    asyncio.run(story())


def test_a_half_closed_connection_is_not_used_again() -> None:
    async def half(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await served.asked(reader)
        writer.write(answer(NODE))
        writer.write_eof()
        await served.asked(reader)

    async def story() -> None:
        async with serving(half) as served:
            client = client_of(served)
            await client.get(NODES, "a")
            await asyncio.sleep(0.05)
            await client.get(NODES, "a")
            assert (served.connections, len(served.heads)) == (2, 2)
            await client.close()

    asyncio.run(story())


def test_a_body_that_is_too_large_is_not_kept() -> None:
    async def endless(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await served.asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
        while True:
            writer.write(piece)
            await writer.drain()

    async def story() -> None:
        async with serving(endless) as served:
            client = client_of(served)
            with pytest.raises(ApiUnavailable, match="a body of more than 64 MiB"):
                await client.get(NODES, "a")
            await client.close()

    asyncio.run(story())


def test_the_servers_retry_after_is_understood() -> None:
    async def shedding(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b'{"kind":"Status","reason":"TooManyRequests","details":{"retryAfterSeconds":3}}'
        for raw in (
            answer(body, 429, "Retry-After: 7"),
            answer(body, 429),
            answer(b"<html>overloaded", 503, "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"),
        ):
            await served.asked(reader)
            writer.write(raw)

    async def story() -> None:
        async with serving(shedding) as served:
            client = client_of(served)
            said = []
            for _ in range(3):
                with pytest.raises(ApiError) as caught:
                    await client.get(NODES, "a")
                error = caught.value
                said.append((error.status, error.reason, error.retry_after_seconds, error.message))
            assert said == [
                (429, "TooManyRequests", 7.0, ""),
                (429, "TooManyRequests", 3.0, ""),
                (503, "", None, "<html>overloaded"),
            ]
            await client.close()

    asyncio.run(story())


def test_cancelling_a_request_closes_its_connection() -> None:
    async def story() -> None:
        ended = asyncio.Event()

        async def silent(served: Served, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await served.asked(reader)
            assert await reader.read() == b""
            ended.set()

        async with serving(silent) as served:
            client = client_of(served)
            asking = asyncio.create_task(client.get(NODES, "a"))
            await until(lambda: served.heads, "it has asked")
            asking.cancel()
            await asyncio.wait((asking,))
            async with asyncio.timeout(10):
                await ended.wait()
            await client.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("https://127.0.0.1:1", "127.0.0.1:1 cannot be reached: Connection refused"),
        ("https://nobody.invalid:1", "nobody.invalid"),
    ],
)
def test_an_unreachable_server_is_named(server: str, said: str) -> None:
    async def story() -> None:
        client = Client(ClusterConfig(server=server))
        with pytest.raises(ApiUnavailable, match=said):
            await client.get(NODES, "a")
        await client.close()

    asyncio.run(story())
