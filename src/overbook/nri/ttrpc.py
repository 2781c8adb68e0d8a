"""ttrpc: small remote procedure calls over one byte stream, as containerd and NRI speak it.

A frame is a header of 10 bytes, big-endian (length of the payload, stream, kind, flags), and the payload. A
call is a request and a response on one stream, whose odd number its caller chose. Source: containerd/ttrpc,
*PROTOCOL*.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from overbook.nri.protobuf import WireError, integer, message, put_bytes, put_integer, put_text, text

REQUEST: Final = 1
RESPONSE: Final = 2
MOST_PAYLOAD_BYTES: Final = 4 << 20
UNIMPLEMENTED: Final = 12
"""gRPC's status for a method that does not exist."""

_HEADER: Final = struct.Struct(">IIBB")


class Frame(NamedTuple):
    """One frame."""

    stream: int
    kind: int
    payload: bytes


class RpcRequest(NamedTuple):
    """A call."""

    service: str
    method: str
    payload: bytes


class RpcStatus(NamedTuple):
    """The status of a call; code 0 is success."""

    code: int
    text: str


class FrameReader:
    """A splitter of a byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add bytes and yield the complete frames.

        Raises:
            WireError: a frame is larger than the protocol allows.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            length, stream, kind, _ = _HEADER.unpack_from(self._buffer)
            if length > MOST_PAYLOAD_BYTES:
                raise WireError(f"a frame of {length} bytes; at most {MOST_PAYLOAD_BYTES} are allowed")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield Frame(stream, kind, payload)


def frame(stream: int, kind: int, payload: bytes) -> bytes:
    """A frame's bytes."""
    return _HEADER.pack(len(payload), stream, kind, 0) + payload


def request(stream: int, service: str, method: str, payload: bytes) -> bytes:
    """A call's frame."""
    return frame(stream, REQUEST, put_text(1, service) + put_text(2, method) + put_bytes(3, payload))


def response(stream: int, payload: bytes, status: RpcStatus | None = None) -> bytes:
    """An answer's frame; with a status it is a refusal."""
    refused = put_bytes(1, put_integer(1, status.code) + put_text(2, status.text)) if status else b""
    return frame(stream, RESPONSE, refused + put_bytes(2, payload))


def parse_request(payload: bytes) -> RpcRequest:
    """The call in a request's payload.

    Raises:
        WireError: the payload is no request.
    """
    return RpcRequest(text(payload, 1), text(payload, 2), message(payload, 3))


def parse_response(payload: bytes) -> tuple[RpcStatus, bytes]:
    """A call's status and result, from a response's payload.

    Raises:
        WireError: the payload is no response.
    """
    status = message(payload, 1)
    return RpcStatus(integer(status, 1), text(status, 2)), message(payload, 2)
