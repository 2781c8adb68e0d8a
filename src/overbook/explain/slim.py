"""Pods without what no rule reads, so that a hundred thousand of them fit into memory."""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from overbook.core.kubernetes.pod import MIRROR_ANNOTATION, SOURCE_ANNOTATION, Pod, PodStatus
from overbook.core.kubernetes.resize import may_wait
from overbook.core.kubevirt.overhead import OVERHEAD_ANNOTATION
from overbook.core.overcommit.swap import SWAP_ANNOTATION

READ_ANNOTATIONS: Final = (MIRROR_ANNOTATION, SOURCE_ANNOTATION, SWAP_ANNOTATION, OVERHEAD_ANNOTATION)
"""The annotations of pods that rules read."""
_WHOLE: Final = 5_000
"""So many pods are kept as they are: making a pod small takes time, too."""


class SlimPods:
    """Makes pods small, once there are many: parts that are equal are the same object."""

    def __init__(self) -> None:
        self._seen = 0
        self._parts: dict[bytes, Any] = {}
        self._encode = msgspec.msgpack.Encoder().encode

    def pod(self, pod: Pod) -> Pod:
        """The pod, small if it is one of many that a cluster has stored."""
        self._seen += 1
        if self._seen <= _WHOLE or not pod.metadata.uid or may_wait(pod):
            return pod
        spec, metadata, status = pod.spec, pod.metadata, pod.status
        annotations = metadata.annotations
        read = (
            {name: annotations[name] for name in READ_ANNOTATIONS if name in annotations}
            if annotations
            else {}
        )
        return replace(
            pod,
            metadata=replace(metadata, labels=None, annotations=read or None, uid=metadata.uid),
            spec=replace(
                spec, containers=self._one(spec.containers), init_containers=self._one(spec.init_containers)
            ),
            status=None if status is None else self._status(status),
        )

    def _status(self, status: PodStatus) -> PodStatus:
        small: PodStatus = self._one(PodStatus(phase=status.phase, qos_class=status.qos_class))
        return small

    def _one(self, part: Any) -> Any:
        """The first part that was equal to this one."""
        return self._parts.setdefault(self._encode(part), part)
