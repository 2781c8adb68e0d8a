"""What can go wrong between Overbook and the API server. Who survives :class:`KubeError` survives all."""

from typing import Final

import msgspec

from overbook.kube.api.http import Head


class KubeError(Exception):
    """No usable answer: refused by the API server, or none at all."""


class Cause(msgspec.Struct, frozen=True, gc=False):
    """One of ``details.causes`` of a Status.

    Attributes:
        reason: a word, such as ``FieldValueInvalid`` or ``DisruptionBudget``.
        message: for people.
        field: which field of the object.
    """

    reason: str = ""
    message: str = ""
    field: str = ""


class ApiError(KubeError):
    """The API server answered, and the answer is no.

    Args:
        status: the HTTP status.
        reason: the Status object's, such as ``NotFound``, ``Conflict`` or ``Expired``; empty: none was given.
        message: the Status object's, or the beginning of what came instead of one.
        causes: ``details.causes``.
        retry_after_seconds: when to come again, if the server said so.
        request: what was asked, such as ``PATCH /api/v1/nodes/a``, for the text.
    """

    def __init__(
        self,
        status: int,
        reason: str = "",
        message: str = "",
        *,
        causes: tuple[Cause, ...] = (),
        retry_after_seconds: float | None = None,
        request: str = "",
    ) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes
        self.retry_after_seconds = retry_after_seconds
        self.request = request
        said = " ".join(part for part in (str(status), reason) if part)
        super().__init__(f"{request}: {said}: {message}" if request else f"{said}: {message}")


class ApiUnavailable(KubeError):  # noqa: N818 - it names what is wrong, as InvalidInput does
    """There was no answer, or only a part of one: refused, reset, timed out, TLS failed.

    Whether the request took effect is not known. The text names the server and what happened.
    """


class AccessError(ApiUnavailable):
    """Nothing was asked, because no credentials could be had: a token file or a plugin failed."""


class UnexpectedAnswer(KubeError):  # noqa: N818 - as ApiUnavailable
    """The API server answered well, with an object that is not what the API says it is."""


def is_status(error: Exception, *statuses: int) -> bool:
    """Whether the API server answered with one of these."""
    return isinstance(error, ApiError) and error.status in statuses


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
