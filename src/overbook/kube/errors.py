"""What can go wrong between Overbook and the API server. Who survives :class:`KubeError` survives all."""

import msgspec


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
