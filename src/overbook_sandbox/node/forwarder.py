"""Inside the emulated machine: passes TCP connections on from an address of the node to one of the host.

Its arguments are both, as `ADDRESS PORT ADDRESS PORT`.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Final

_CHUNK_BYTES: Final = 65536


async def forward(address: str, port: int, host: str, host_port: int) -> None:
    """Listen and pass on until cancelled; where the host refuses, so does this."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            beyond, towards = await asyncio.open_connection(host, host_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, towards), _pass_on(beyond, writer))

    server = await asyncio.start_server(connected, address, port)
    await server.serve_forever()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_CHUNK_BYTES):
            target.write(data)
            await target.drain()
    target.close()


if __name__ == "__main__":
    own_address, own_port, host_address, port_there = sys.argv[1:]
    asyncio.run(forward(own_address, int(own_port), host_address, int(port_there)))
