"""What the API server's answer to an eviction means for a relief.

Sources: ``pkg/registry/core/pod/storage/eviction.go`` at v1.36; KubeVirt's
``pkg/virt-api/webhooks/validating-webhook/admitters/pod-eviction-admitter.go`` at v1.9.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from overbook.core.text import shortened

Meaning = Literal["Accepted", "Evacuating", "Refused", "WebhookFailed", "Later", "Unknown", "Gone"]
"""``Accepted``: the pod is ending. ``Evacuating``: KubeVirt began a live migration instead. ``Refused``: this
pod cannot be evicted. ``WebhookFailed``: an admission webhook could not be called, so nothing was evicted,
but KubeVirt's may have begun a live migration. ``Later``: nothing was done; the same eviction may be sent
again. ``Unknown``: the eviction may have been carried out or not. ``Gone``: there is no such pod any more."""

EVACUATION: Final = "Eviction triggered evacuation"
"""KubeVirt's webhook says so when it begins a live migration, also behind ``Evacuation in progress: ``."""
DISRUPTION_BUDGET: Final = "DisruptionBudget"
MORE_THAN_ONE_BUDGET: Final = "more than one PodDisruptionBudget"
STILL_PROCESSED: Final = "still being processed"
"""Part of the message about a disruption budget that its controller has not processed yet."""

WEBHOOK_FAILED: Final = "failed calling webhook"
"""The API server says so when it could not call a webhook that must not be left out."""

LATER_SECONDS: Final = 5.0
"""The pause before the next try if the server names none."""
_DENIAL: Final = 'admission webhook "[^"]+" denied the request'
_NOT_ALLOWED_TO_ASK: Final = "cannot create resource"
_LONGEST_MESSAGE: Final = 300


class EvictionCause(msgspec.Struct, frozen=True, gc=False):
    """One of the ``details.causes`` of a Kubernetes Status."""

    reason: str = ""
    message: str = ""


class EvictionAnswer(msgspec.Struct, frozen=True, gc=False):
    """The meaning of an answer.

    Attributes:
        meaning: what the server did; see :data:`Meaning`.
        reason: why the pod was not evicted, in CamelCase.
        message: the server's message, shortened.
        retry_seconds: the pause before the next try, if the server named one.
        at: when the answer came, in seconds since the epoch.
    """

    meaning: Meaning
    reason: str = ""
    message: str = ""
    retry_seconds: float | None = None
    at: float = 0.0


ACCEPTED: Final = EvictionAnswer("Accepted")


def no_answer(message: str) -> EvictionAnswer:
    """The meaning of a failed connection: the server may have carried out the request."""
    return EvictionAnswer("Unknown", "NoAnswer", _short(message))


def understood(
    status: int,
    reason: str = "",
    message: str = "",
    causes: Iterable[EvictionCause] = (),
    retry_seconds: float | None = None,
) -> EvictionAnswer:
    """Return what an answer means.

    Args:
        status: the HTTP status.
        reason: the Status' reason.
        message: the Status' message.
        causes: the Status' causes.
        retry_seconds: the pause named by Retry-After or the Status' details.
    """
    text = _short(message or reason or f"HTTP status {status}")
    if status < 300:
        return ACCEPTED
    if (status == 404 and reason == "NotFound") or (status == 409 and "UID in precondition" in message):
        return EvictionAnswer("Gone", "Gone", text)
    if status == 404:  # not the API server's word about a pod, but somebody's in between
        return EvictionAnswer("Unknown", reason or "Status404", text, retry_seconds)
    if status == 429:
        return _too_many(message, text, tuple(causes), retry_seconds)
    if MORE_THAN_ONE_BUDGET in message:
        return EvictionAnswer("Refused", "MoreThanOneDisruptionBudget", text)
    if _is_denied(message):
        return EvictionAnswer("Refused", "Denied", text)
    if status >= 500 and WEBHOOK_FAILED in message:
        return EvictionAnswer("WebhookFailed", "WebhookFailed", text)
    if status >= 500:
        return EvictionAnswer("Unknown", reason or f"Status{status}", text, retry_seconds)
    if status in (401, 409) or (status == 403 and _NOT_ALLOWED_TO_ASK in message):
        # The controller's credentials, or a concurrent write: not about this pod.
        return EvictionAnswer("Later", reason or f"Status{status}", text, retry_seconds)
    return EvictionAnswer("Refused", reason or f"Status{status}", text)


def _too_many(
    message: str, text: str, causes: tuple[EvictionCause, ...], retry_seconds: float | None
) -> EvictionAnswer:
    if EVACUATION in message:
        return EvictionAnswer("Evacuating", "Evacuation", text)
    budget = next((cause for cause in causes if cause.reason == DISRUPTION_BUDGET), None)
    if budget is not None:
        text = _short(f"{message} {budget.message}".strip())
        if STILL_PROCESSED in budget.message:
            return EvictionAnswer("Later", "DisruptionBudgetNotReady", text, retry_seconds)
        return EvictionAnswer("Refused", DISRUPTION_BUDGET, text)
    if _is_denied(message):
        return EvictionAnswer("Refused", "Denied", text)
    return EvictionAnswer("Later", "TooManyRequests", text, retry_seconds)


def _is_denied(message: str) -> bool:
    """Whether a webhook denied the request and not the server itself: the message then names the webhook."""
    return re.search(_DENIAL, message) is not None


def _short(message: str) -> str:
    return shortened(" ".join(message.split()), _LONGEST_MESSAGE)
