"""Pods without what no rule reads, so that a hundred thousand of them fit into memory."""

from typing import Any

import msgspec
from msgspec.structs import replace

from overbook.core.kubernetes.pod import (
    ObjectMeta,
    OwnerReference,
    Pod,
    PodStatus,
)
from overbook.core.kubernetes.resize import may_wait
from overbook.explain.inventory import READ_ANNOTATIONS


class SlimPods:
    """Makes pods small: parts that are equal are the same object."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._parts: dict[bytes, Any] = {}
        self._encode = msgspec.msgpack.Encoder().encode

    def pod(self, pod: Pod) -> Pod:
        """The pod, small if a cluster has stored it and it does not wait for a resize."""
        if not pod.metadata.uid or may_wait(pod):
            return pod
        spec, metadata, status = pod.spec, pod.metadata, pod.status
        annotations = metadata.annotations
        read = (
            {name: annotations[name] for name in READ_ANNOTATIONS if name in annotations}
            if annotations
            else {}
        )
        owners = metadata.owner_references
        return Pod(
            metadata=ObjectMeta(
                name=metadata.name,
                namespace=self._text(metadata.namespace),
                generate_name=metadata.generate_name,
                uid=metadata.uid,
                annotations=read or None,
                owner_references=owners and tuple(map(self._owner, owners)),
            ),
            spec=self._one(
                replace(
                    spec,
                    containers=self._one(spec.containers),
                    init_containers=self._one(spec.init_containers),
                )
            ),
            status=None if status is None else self._status(status),
        )

    def _owner(self, owner: OwnerReference) -> OwnerReference:
        return OwnerReference(
            self._text(owner.api_version) or "",
            self._text(owner.kind) or "",
            self._text(owner.name) or "",
            controller=owner.controller,
        )

    def _text(self, text: str | None) -> str | None:
        return text if text is None else self._texts.setdefault(text, text)

    def _status(self, status: PodStatus) -> PodStatus:
        small: PodStatus = self._one(PodStatus(phase=status.phase, qos_class=status.qos_class))
        return small

    def _one(self, part: Any) -> Any:
        """The first part that was equal to this one."""
        return self._parts.setdefault(self._encode(part), part)
