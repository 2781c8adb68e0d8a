"""``admission.k8s.io/v1`` reviews: decoded as far as they matter, answered by the rules in ``core``.

Operations of the patch are emitted, never found by comparing two pods.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from overbook.core.admission import Admission, admit
from overbook.core.admission_texts import audit, warnings
from overbook.core.memo import forget
from overbook.core.override_patch import patch_operations
from overbook.core.pod import KubeStruct, Pod
from overbook.webhook.metrics import Metrics
from overbook.webhook.policies import Policies

API_VERSION: Final = "admission.k8s.io/v1"
_LARGE: Final = 256 << 10
"""Bytes of a review after which nothing of it is remembered."""


class UserInfo(KubeStruct, frozen=True):
    """Who asks."""

    username: str = ""


class GroupVersionKind(KubeStruct, frozen=True):
    """What the object is."""

    group: str = ""
    version: str = ""
    kind: str = ""


class AdmissionRequest(KubeStruct, frozen=True):
    """What is to be done with which object."""

    uid: str
    kind: GroupVersionKind = GroupVersionKind()
    sub_resource: str = ""
    namespace: str = ""
    operation: str = ""
    user_info: UserInfo = UserInfo()
    object: Pod | None = None


class AdmissionReview(KubeStruct, frozen=True):
    """A review of a pod."""

    request: AdmissionRequest
    api_version: str = ""
    kind: str = ""


class _OtherRequest(KubeStruct, frozen=True):
    uid: str


class _OtherReview(KubeStruct, frozen=True):
    """A review of something else than a pod, or of a pod that is none."""

    request: _OtherRequest
    api_version: str = ""
    kind: str = ""


class AdmissionResponse(KubeStruct, frozen=True, omit_defaults=True):
    """The answer; ``patch`` becomes base64 when it is encoded."""

    uid: str
    allowed: bool
    patch_type: str | None = None
    patch: bytes | None = None
    warnings: list[str] | None = None
    audit_annotations: dict[str, str] | None = None


class AnsweredReview(KubeStruct, frozen=True):
    """The review that goes back."""

    api_version: str
    kind: str
    response: AdmissionResponse


class NotAReview(ValueError):  # noqa: N818 - it names what is wrong, as InvalidInput does
    """What was sent is no review that can be answered; the message says why."""


_REVIEW: Final = msgspec.json.Decoder(AdmissionReview)
_OTHER: Final = msgspec.json.Decoder(_OtherReview)
_ENCODER: Final = msgspec.json.Encoder()
_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Reviewer:
    """Answers reviews.

    Args:
        policies: of the cluster's namespaces.
        metrics: counts what happens.
        clock: the server's.
    """

    def __init__(
        self,
        policies: Policies,
        metrics: Metrics,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._policies = policies
        self._metrics = metrics
        self._clock = clock

    def answer(self, body: bytes, started: float) -> bytes:
        """The answer to a review.

        Args:
            body: JSON.
            started: when its first byte was there, by the clock.

        Raises:
            NotAReview: it cannot be answered at all.
        """
        try:
            review = _REVIEW.decode(body)
        except _MALFORMED as error:
            return self._not_understood(body, error)
        _check(review)
        request = review.request
        pod = request.object
        if pod is None or request.operation != "CREATE" or not _is_pod(request):
            self._metrics.counted("NotAPod")
            return _untouched(request.uid, "NotAPod")
        namespace = request.namespace or pod.metadata.namespace or ""
        policies = self._policies
        admission = admit(pod, policies.of(namespace), policies.cluster, request.user_info.username)
        self._metrics.admitted(admission, namespace, self._clock() - started)
        if len(body) > _LARGE:
            forget()
        return _encoded(respond(request.uid, pod, admission))

    def _not_understood(self, body: bytes, error: Exception) -> bytes:
        """Admit what has the form of a review, whatever its object is; refuse the rest."""
        try:
            review = _OTHER.decode(body)
        except _MALFORMED:
            self._metrics.counted("NotAReview")
            raise NotAReview(f"not an AdmissionReview: {error}") from error
        _check(review)
        self._metrics.counted("NotAPod")
        return _untouched(review.request.uid, f"NotAPod: {error}")


def respond(uid: str, pod: Pod, admission: Admission) -> AdmissionResponse:
    """The response that carries a decision."""
    if admission.outcome != "Overridden":
        told = warnings(pod, admission)
        return AdmissionResponse(
            uid=uid,
            allowed=True,
            warnings=told or None,
            audit_annotations={"override": audit(admission)},
        )
    return AdmissionResponse(
        uid=uid,
        allowed=True,
        patch_type="JSONPatch",
        patch=_ENCODER.encode(patch_operations(pod, admission.override)),
        warnings=warnings(pod, admission) or None,
        audit_annotations={"override": audit(admission)},
    )


def _check(review: AdmissionReview | _OtherReview) -> None:
    if review.api_version != API_VERSION or review.kind != "AdmissionReview":
        sent = f"{review.kind[:100] or 'nothing'} of {review.api_version[:100] or 'no version'}"
        raise NotAReview(f"{sent} was sent; expected AdmissionReview of {API_VERSION}")


def _is_pod(request: AdmissionRequest) -> bool:
    return request.kind.kind == "Pod" and not request.kind.group and not request.sub_resource


def _untouched(uid: str, why: str) -> bytes:
    return _encoded(AdmissionResponse(uid=uid, allowed=True, audit_annotations={"override": why[:200]}))


def _encoded(response: AdmissionResponse) -> bytes:
    return _ENCODER.encode(AnsweredReview(api_version=API_VERSION, kind="AdmissionReview", response=response))
