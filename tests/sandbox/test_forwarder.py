import asyncio
import socket

from overbook_sandbox.node.forwarder import forward

HERE = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Try to connect until a server listens."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncio.open_connection(HERE, port)
            except OSError:
                await asyncio.sleep(0.02)


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the received text in capitals, until its end."""
    writer.write((await reader.readline()).upper())
    writer.close()


def test_data_and_end_are_forwarded_both_ways() -> None:
    async def ask() -> bytes:
        server = await asyncio.start_server(shout, HERE, 0)
        port = free_port()
        forwarding = asyncio.create_task(forward(HERE, port, HERE, server.sockets[0].getsockname()[1]))
        reader, writer = await connect(port)
        writer.write(b"hello\n")
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        forwarding.cancel()
        server.close()
        return answer

    assert asyncio.run(ask()) == b"HELLO\n"


def test_a_connection_ends_where_no_server_listens() -> None:
    async def ask() -> bytes:
        port = free_port()
        forwarding = asyncio.create_task(forward(HERE, port, HERE, free_port()))
        reader, writer = await connect(port)
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        forwarding.cancel()
        return answer

    assert asyncio.run(ask()) == b""
