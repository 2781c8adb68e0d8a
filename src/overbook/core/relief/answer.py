"""What the API server's answer to an Eviction means for a relief.

Sources: ``pkg/registry/core/pod/storage/eviction.go`` at v1.36; KubeVirt's
``pkg/virt-api/webhooks/validating-webhook/admitters/pod-eviction-admitter.go`` at v1.9.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from overbook.core.text import shortened

Meaning = Literal["Accepted", "Evacuating", "Refused", "Later", "Unknown", "Gone"]
"""``Accepted``: the pod is being ended. ``Evacuating``: a live migration was set off instead. ``Refused``:
this pod does not go. ``Later``: nothing was done, and the same may be asked again. ``Unknown``: it may have
been done or not. ``Gone``: there is no such pod any more."""

EVACUATION: Final = "Eviction triggered evacuation"
"""How KubeVirt's webhook says that it migrates the guest, also behind ``Evacuation in progress: ``."""
DISRUPTION_BUDGET: Final = "DisruptionBudget"
MORE_THAN_ONE_BUDGET: Final = "more than one PodDisruptionBudget"
STILL_PROCESSED: Final = "still being processed"
"""Of a budget that its controller has not seen in its present form."""

LATER_SECONDS: Final = 5.0
"""Where the server does not say when to come again."""
_DENIAL: Final = 'admission webhook "[^"]+" denied the request'
_NOT_ALLOWED_TO_ASK: Final = "cannot create resource"
_LONGEST_MESSAGE: Final = 300


class EvictionCause(msgspec.Struct, frozen=True, gc=False):
    """One of a Status' ``details.causes``."""

    reason: str = ""
    message: str = ""


class EvictionAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer, understood.

    Attributes:
        meaning: see :data:`Meaning`.
        reason: of a refusal, in CamelCase.
        message: what the server said, shortened.
        retry_seconds: when to come again, where it was said.
    """

    meaning: Meaning
    reason: str = ""
    message: str = ""
    retry_seconds: float | None = None


ACCEPTED: Final = EvictionAnswer("Accepted")


def no_answer(message: str) -> EvictionAnswer:
    """The connection failed before there was an answer: the request may have been obeyed."""
    return EvictionAnswer("Unknown", "NoAnswer", _short(message))


def understood(
    status: int,
    reason: str = "",
    message: str = "",
    causes: Iterable[EvictionCause] = (),
    retry_seconds: float | None = None,
) -> EvictionAnswer:
    """What an answer means.

    Args:
        status: of HTTP.
        reason: the Status' reason.
        message: the Status' message.
        causes: the Status' causes.
        retry_seconds: from Retry-After or the Status' details.
    """
    said = _short(message or reason or f"HTTP status {status}")
    if status < 300:
        return ACCEPTED
    if status == 404 or (status == 409 and "UID in precondition" in message):
        return EvictionAnswer("Gone", "Gone", said)
    if status == 429:
        return _too_many(message, said, tuple(causes), retry_seconds)
    if MORE_THAN_ONE_BUDGET in message:
        return EvictionAnswer("Refused", "MoreThanOneDisruptionBudget", said)
    if _is_denied(message):
        return EvictionAnswer("Refused", "Denied", said)
    if status >= 500:
        return EvictionAnswer("Unknown", reason or f"Status{status}", said, retry_seconds)
    if status in (401, 409) or (status == 403 and _NOT_ALLOWED_TO_ASK in message):
        # Our credentials, or somebody else's write at the same moment: not this pod's doing.
        return EvictionAnswer("Later", reason or f"Status{status}", said, retry_seconds)
    return EvictionAnswer("Refused", reason or f"Status{status}", said)


def _too_many(
    message: str, said: str, causes: tuple[EvictionCause, ...], retry_seconds: float | None
) -> EvictionAnswer:
    if EVACUATION in message:
        return EvictionAnswer("Evacuating", "Evacuation", said)
    budget = next((cause for cause in causes if cause.reason == DISRUPTION_BUDGET), None)
    if budget is not None:
        said = _short(f"{message} {budget.message}".strip())
        if STILL_PROCESSED in budget.message:
            return EvictionAnswer("Later", "DisruptionBudgetNotReady", said, retry_seconds)
        return EvictionAnswer("Refused", DISRUPTION_BUDGET, said)
    if _is_denied(message):
        return EvictionAnswer("Refused", "Denied", said)
    return EvictionAnswer("Later", "TooManyRequests", said, retry_seconds)


def _is_denied(message: str) -> bool:
    """Whether a webhook that is named said no: a 429 may be the server's own or a webhook's."""
    return re.search(_DENIAL, message) is not None


def _short(message: str) -> str:
    return shortened(" ".join(message.split()), _LONGEST_MESSAGE)
