"""The errors of requests to the API server. Catch :class:`KubeError` to handle all of them."""

from typing import Final

import msgspec

from overbook.kube.api.http import Head


class KubeError(Exception):
    """There is no usable answer: the API server refused, or did not answer."""


class Cause(msgspec.Struct, frozen=True, gc=False):
    """One of ``details.causes`` of a Status.

    Attributes:
        reason: a word, such as ``FieldValueInvalid`` or ``DisruptionBudget``.
        message: a text for people.
        field: the object's field.
    """

    reason: str = ""
    message: str = ""
    field: str = ""


class ApiError(KubeError):
    """The API server refused a request.

    Args:
        status: the HTTP status.
        reason: the Status object's reason, such as ``NotFound``, ``Conflict`` or ``Expired``; may be empty.
        message: the Status object's message, or the beginning of the answer if it is no Status.
        causes: ``details.causes``.
        retry_after_seconds: the server's Retry-After, if there is one.
        request: the request, such as ``PATCH /api/v1/nodes/a``, for the text.
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
        code = " ".join(part for part in (str(status), reason) if part)
        super().__init__(f"{request}: {code}: {message}" if request else f"{code}: {message}")

    @property
    def is_not_found(self) -> bool:
        """Whether the API server says that there is no such object.

        A proxy's "404 page not found" says nothing about objects.
        """
        return self.status == 404 and self.reason == "NotFound"


class ApiUnavailable(KubeError):  # noqa: N818 - named after the problem, as InvalidInput
    """There was no complete answer: the connection was refused, reset or timed out, or TLS failed.

    Whether the request took effect is not known. The text names the server and the problem.
    """


class NotSent(ApiUnavailable):
    """No request was sent, because other requests took all turns. It has no effect."""


class AccessError(ApiUnavailable):
    """No request was sent, because there are no credentials: a token file or a plugin failed."""


class UnexpectedAnswer(KubeError):  # noqa: N818 - as ApiUnavailable
    """The API server answered with success, but the object does not have the type of the API."""


def is_status(error: Exception, *statuses: int) -> bool:
    """Whether an error is an answer of the API server with one of these HTTP statuses."""
    return isinstance(error, ApiError) and error.status in statuses


_SHOWN_CHARACTERS: Final = 300


class _Details(msgspec.Struct, frozen=True, rename="camel"):
    causes: tuple[Cause, ...] | None = None
    retry_after_seconds: float | None = None


class Status(msgspec.Struct, frozen=True):
    """The object with which the API server refuses a request."""

    message: str | None = None
    reason: str | None = None
    code: int | None = None
    details: _Details | None = None


def api_error(request: str, head: Head, body: bytes) -> ApiError:
    """The error for an answer without success."""
    try:
        status = _STATUS_DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        shown = body[:_SHOWN_CHARACTERS].decode("utf-8", "replace").strip()
        status = Status(message=shown or "no message")
    text = head.fields.get("retry-after", "")
    after = float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
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
