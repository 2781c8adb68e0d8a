"""The part of Protocol Buffers' wire format that NRI's messages need: reading and writing.

A message is a sequence of fields, each a number and a value: an integer, or bytes that are a text or another
message. Unknown fields are skipped, as the format requires. Source: protobuf.dev, *Encoding*.
"""

from collections.abc import Iterator, Mapping
from typing import Final

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5
_MOST_VARINT_BYTES: Final = 10


class WireError(ValueError):
    """The bytes are not a valid message."""


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """A message's fields in order: number and value.

    Raises:
        WireError: the message is cut off, or has an obsolete wire type.
    """
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise WireError("a field has number 0")
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            length, position = _varint(data, position)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise WireError(f"field {number} has wire type {wire}")
        end = position + length
        if end > len(data):
            raise WireError(f"field {number} is cut off")
        if wire == _BYTES:
            yield number, data[position:end]
        position = end


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for count in range(_MOST_VARINT_BYTES):
        if position >= len(data):
            raise WireError("a number is cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, position
    raise WireError("a number has more than 10 bytes")


def messages(data: bytes, number: int) -> Iterator[bytes]:
    """The values of a repeated field that holds messages, texts or bytes."""
    return (value for found, value in fields(data) if found == number and isinstance(value, bytes))


def message(data: bytes, number: int) -> bytes:
    """The value of a field that holds a message; empty if absent, which is the empty message."""
    return b"".join(messages(data, number))


def last_fields(data: bytes) -> dict[int, int | bytes]:
    """All fields of a message by number; of a repeated field the last value."""
    return dict(fields(data))


def text(data: bytes, number: int) -> str:
    """The value of a field that holds a text; empty if absent.

    Raises:
        WireError: the value is not UTF-8.
    """
    found = b""
    for value in messages(data, number):
        found = value
    return as_text(found)


def as_text(value: int | bytes | None) -> str:
    """A field's value as a text; empty if absent.

    Raises:
        WireError: the value is not UTF-8.
    """
    try:
        return value.decode() if isinstance(value, bytes) else ""
    except UnicodeDecodeError as error:
        raise WireError(f"{value!r} is no text") from error


def integer(data: bytes, number: int) -> int:
    """The value of a field that holds a number; 0 if absent."""
    found = 0
    for field, value in fields(data):
        if field == number and isinstance(value, int):
            found = value
    return found


def entries(data: bytes, number: int) -> dict[str, str]:
    """The value of a field that holds a map of texts."""
    return {text(entry, 1): text(entry, 2) for entry in messages(data, number)}


def put_integer(number: int, value: int) -> bytes:
    """The bytes of a field that holds a number of 0 or more; empty for 0."""
    return _put_varint(number << 3 | _VARINT) + _put_varint(value) if value else b""


def put_bytes(number: int, value: bytes) -> bytes:
    """The bytes of a field that holds a message, which may be empty."""
    return _put_varint(number << 3 | _BYTES) + _put_varint(len(value)) + value


def put_text(number: int, value: str) -> bytes:
    """The bytes of a field that holds a text; empty for an empty text."""
    return put_bytes(number, value.encode()) if value else b""


def put_entries(number: int, values: Mapping[str, str]) -> bytes:
    """The bytes of a field that holds a map of texts."""
    return b"".join(put_bytes(number, put_text(1, key) + put_text(2, value)) for key, value in values.items())


def _put_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
