"""A program in the emulated machine that forwards TCP connections from an address of the node to the host.

The arguments are both addresses, as `ADDRESS PORT ADDRESS PORT`.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Final

_CHUNK_BYTES: Final = 65536


async def forward(address: str, port: int, host: str, host_port: int) -> None:
    """Listen and forward connections until cancelled; if the host refuses, the connection is closed."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            beyond, towards = await asyncio.open_connection(host, host_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, towards), _copy(beyond, writer))

    server = await asyncio.start_server(connected, address, port)
    await server.serve_forever()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_CHUNK_BYTES):
            target.write(data)
            await target.drain()
    target.close()


if __name__ == "__main__":
    own_address, own_port, host_address, port_on_host = sys.argv[1:]
    asyncio.run(forward(own_address, int(own_port), host_address, int(port_on_host)))
