"""NRI's multiplexing: two ttrpc connections over one socket, one in each direction.

A chunk has a header of 8 bytes, big-endian: connection and length. The bytes of one connection are a stream:
a ttrpc frame may be split over chunks, or share one. Source: containerd/nri, ``pkg/net/multiplex``.
"""

import struct
from collections.abc import Iterator
from typing import Final

from overbook.nri.protobuf import WireError
from overbook.nri.ttrpc import MOST_PAYLOAD_BYTES

PLUGIN: Final = 1
"""The connection on which the runtime calls the plugin."""
RUNTIME: Final = 2
"""The connection on which the plugin calls the runtime."""
MOST_CHUNK_BYTES: Final = MOST_PAYLOAD_BYTES + 10

_HEADER: Final = struct.Struct(">II")


class ChunkReader:
    """A splitter of the socket's bytes into chunks."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Add bytes and yield the connection and the bytes of each complete chunk.

        Raises:
            WireError: a chunk is larger than the protocol allows.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            connection, length = _HEADER.unpack_from(self._buffer)
            if length > MOST_CHUNK_BYTES:
                raise WireError(f"a chunk of {length} bytes; at most {MOST_CHUNK_BYTES} are allowed")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            chunk = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield connection, chunk


def chunk(connection: int, data: bytes) -> bytes:
    """A chunk's bytes."""
    return _HEADER.pack(connection, len(data)) + data
