"""``admission.k8s.io/v1`` reviews: only the needed fields are decoded; the rules in ``core`` decide.

The operations of the patch come from the decision, not from a comparison of two pods.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from overbook.core.kubernetes.pod import KubeStruct, Pod
from overbook.core.override.admission import Admission, ClusterPolicy, NamespacePolicy, choose, decide
from overbook.core.override.patch import patch_operations
from overbook.core.override.source import OverrideSource
from overbook.core.override.texts import audit, warnings
from overbook.webhook.metrics import WebhookMetrics
from overbook.webhook.policies import Policies

API_VERSION: Final = "admission.k8s.io/v1"
_BEFORE_UID: Final = f'{{"apiVersion":"{API_VERSION}","kind":"AdmissionReview","response":{{"uid":'.encode()
_MOST_PREPARED: Final = 1024
_LONGEST_KEY: Final = 8 << 10
"""The longest key of a remembered pod in bytes; a pod of 20 containers has 2,000."""


MOST_CONTAINERS: Final = 1000
"""The most containers of a pod whose requests are changed. The time that a review takes grows with them, and
the others wait meanwhile; no kubelet runs as many."""
_LONGEST_UID: Final = 256
"""The answer repeats the uid. The API server's has 36 characters."""


class UserInfo(KubeStruct, frozen=True):
    """The user that sent the request."""

    username: str = ""


class GroupVersionKind(KubeStruct, frozen=True):
    """The kind of an object."""

    group: str = ""
    version: str = ""
    kind: str = ""


class AdmissionRequest(KubeStruct, frozen=True):
    """The operation under review, and its object."""

    uid: str
    kind: GroupVersionKind = GroupVersionKind()
    sub_resource: str = ""
    namespace: str = ""
    operation: str = ""
    user_info: UserInfo = UserInfo()
    object: Pod | None = None
    old_object: Pod | None = None


class AdmissionReview(KubeStruct, frozen=True):
    """A review of a pod."""

    request: AdmissionRequest
    api_version: str = ""
    kind: str = ""


class _OtherRequest(KubeStruct, frozen=True):
    uid: str


class _OtherReview(KubeStruct, frozen=True):
    """A review of something other than a pod, or of a malformed pod."""

    request: _OtherRequest
    api_version: str = ""
    kind: str = ""


class AdmissionResponse(KubeStruct, frozen=True, omit_defaults=True):
    """The answer without its ``uid``; ``patch`` is encoded as base64."""

    allowed: bool
    patch_type: str | None = None
    patch: bytes | None = None
    warnings: list[str] | None = None
    audit_annotations: dict[str, str] | None = None


class PreparedReview(msgspec.Struct, frozen=True, gc=False):
    """A decision and its answer, kept for the next identical pod.

    Attributes:
        namespace: the namespace's policy; the decision is valid only with the same one.
        cluster: the cluster's policy; the decision is valid only with the same one.
        source: the override that applied.
        admission: the decision.
        answer: the part of the answer after the ``uid``.
    """

    namespace: NamespacePolicy
    cluster: ClusterPolicy
    source: OverrideSource
    admission: Admission
    answer: bytes


class NotAReview(ValueError):  # noqa: N818 - named after the problem, as InvalidInput
    """The body is no review that can be answered; the message says why."""


_REVIEW: Final = msgspec.json.Decoder(AdmissionReview)
_OTHER: Final = msgspec.json.Decoder(_OtherReview)
_ENCODER: Final = msgspec.json.Encoder()
_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Reviewer:
    """A reviewer of pods at admission.

    Most pods are replicas of a template. The decision for one is kept for the others. Its key is the part of
    the pod on which the decision depends.

    Args:
        policies: the policies of the cluster's namespaces.
        metrics: counts the reviews.
        clock: the server's clock.
    """

    def __init__(
        self,
        policies: Policies,
        metrics: WebhookMetrics,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._policies = policies
        self._metrics = metrics
        self._clock = clock
        self._prepared: dict[tuple[str, bytes], PreparedReview] = {}

    def answer(self, body: bytes | bytearray, started: float) -> bytes:
        """The answer to a review.

        Args:
            body: JSON.
            started: when its first byte arrived, by the clock.

        Raises:
            NotAReview: the body is no review.
        """
        try:
            review = _REVIEW.decode(body)
        except _MALFORMED as error:
            return self._not_understood(body, error)
        _check(review)
        request = review.request
        pod = request.object
        if pod is None or not _is_reviewed(request):
            self._metrics.counted("NotAPod")
            return _untouched(request.uid, "NotAPod")
        if len(pod.containers) + len(pod.init_containers) > MOST_CONTAINERS:
            self._metrics.counted("NotAPod")
            return _untouched(request.uid, f"NotAPod: more than {MOST_CONTAINERS} containers")
        prepared = self._decide(request, pod)
        # A review may name any namespace, and each name that is counted stays in memory.
        known = request.namespace if self._policies.knows(request.namespace) else ""
        self._metrics.admitted(prepared.admission, known, self._clock() - started)
        return _BEFORE_UID + _ENCODER.encode(request.uid) + prepared.answer

    def _decide(self, request: AdmissionRequest, pod: Pod) -> PreparedReview:
        policies = self._policies
        cluster, namespace = policies.cluster, policies.of(request.namespace)
        chosen = choose(pod, namespace, cluster, request.user_info.username)
        if isinstance(chosen, Admission):
            return PreparedReview(namespace, cluster, chosen.source, chosen, _after_uid(respond(pod, chosen)))
        if request.sub_resource:
            admission = decide(pod, namespace, cluster, chosen, request.old_object)
            return PreparedReview(namespace, cluster, chosen, admission, _after_uid(respond(pod, admission)))
        content = _ENCODER.encode(pod.spec)
        if chosen.settings.cpu_request_to_request_percent:
            content += _ENCODER.encode(pod.metadata.annotations)
        key = (request.namespace, content)
        known = self._prepared.get(key)
        if (
            known is not None
            and known.namespace is namespace
            and known.source is chosen
            and known.cluster is cluster
        ):
            return known
        admission = decide(pod, namespace, cluster, chosen)
        prepared = PreparedReview(namespace, cluster, chosen, admission, _after_uid(respond(pod, admission)))
        if len(content) <= _LONGEST_KEY:
            if len(self._prepared) >= _MOST_PREPARED:
                self._prepared.clear()
            self._prepared[key] = prepared
        return prepared

    def _not_understood(self, body: bytes | bytearray, error: Exception) -> bytes:
        """Admit any object in a well-formed review; refuse anything else."""
        try:
            review = _OTHER.decode(body)
        except _MALFORMED:
            self._metrics.counted("NotAReview")
            raise NotAReview(f"not an AdmissionReview: {error}") from error
        _check(review)
        self._metrics.counted("NotAPod")
        return _untouched(review.request.uid, f"NotAPod: {error}"[:200])


def respond(pod: Pod, admission: Admission) -> AdmissionResponse:
    """The response for a decision."""
    shown = warnings(pod, admission) or None
    annotations = {"override": audit(admission)}
    if admission.outcome != "Overridden":
        return AdmissionResponse(allowed=True, warnings=shown, audit_annotations=annotations)
    patch = _ENCODER.encode(patch_operations(pod, admission.override))
    return AdmissionResponse(
        allowed=True, patch_type="JSONPatch", patch=patch, warnings=shown, audit_annotations=annotations
    )


def _check(review: AdmissionReview | _OtherReview) -> None:
    if len(review.request.uid) > _LONGEST_UID:
        raise NotAReview(f"a uid of {len(review.request.uid)} characters; at most {_LONGEST_UID} are allowed")
    if review.api_version != API_VERSION or review.kind != "AdmissionReview":
        sent = f"{review.kind[:100] or 'nothing'} of {review.api_version[:100] or 'no version'}"
        raise NotAReview(f"{sent} was sent; expected AdmissionReview of {API_VERSION}")


def _is_reviewed(request: AdmissionRequest) -> bool:
    """Whether a pod is created or resized. Any other update leaves its resources as they are."""
    kind = request.kind
    if kind.kind != "Pod" or kind.group:
        return False
    if not request.sub_resource:
        return request.operation == "CREATE"
    return (
        request.sub_resource == "resize" and request.operation == "UPDATE" and request.old_object is not None
    )


def _untouched(uid: str, why: str) -> bytes:
    response = AdmissionResponse(allowed=True, audit_annotations={"override": why})
    return _BEFORE_UID + _ENCODER.encode(uid) + _after_uid(response)


def _after_uid(response: AdmissionResponse) -> bytes:
    """The rest of the answer: the response without its opening brace, and the end of the review."""
    return b"," + _ENCODER.encode(response)[1:] + b"}"
