"""The Status object, with which the API server says no, as an exception."""

from typing import Final

import msgspec

from overbook.kube.errors import ApiError, Cause
from overbook.kube.http import Head

_SHOWN_CHARACTERS: Final = 300


class _Details(msgspec.Struct, frozen=True, rename="camel"):
    causes: tuple[Cause, ...] | None = None
    retry_after_seconds: float | None = None


class Status(msgspec.Struct, frozen=True):
    """The object with which the API server says no."""

    message: str | None = None
    reason: str | None = None
    code: int | None = None
    details: _Details | None = None


def api_error(request: str, head: Head, body: bytes) -> ApiError:
    """What an answer says that is no success."""
    try:
        status = _STATUS_DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body[:_SHOWN_CHARACTERS].decode("utf-8", "replace").strip()
        status = Status(message=text or "no further words")
    said = head.fields.get("retry-after", "")
    after = float(said) if said.isascii() and said.isdigit() and len(said) < 10 else None
    return error_of_status(request, head.status, status, after)


def error_of_status(request: str, code: int, status: Status, after: float | None = None) -> ApiError:
    """A Status object as an exception."""
    details = status.details or _Details()
    if after is None:
        after = details.retry_after_seconds or None
    return ApiError(
        code,
        status.reason or "",
        status.message or "",
        causes=details.causes or (),
        retry_after_seconds=after,
        request=request,
    )


_STATUS_DECODER = msgspec.json.Decoder(Status)
