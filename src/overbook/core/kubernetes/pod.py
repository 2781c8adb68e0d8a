"""The fields of a pod that Overbook needs, as structs decoded from JSON or from a parsed manifest.

Unknown fields are ignored; a field of the wrong type is refused with its path. Defaults are filled in by
:mod:`overbook.core.kubernetes.resources`, not here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.quantity import RawQuantity

ResourceList = dict[str, RawQuantity]

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
SOURCE_ANNOTATION = "kubernetes.io/config.source"
"""Where the kubelet got the pod from: ``api``, or ``file`` and ``http`` for static pods."""
HASH_ANNOTATION = "kubernetes.io/config.hash"
"""On a mirror pod the UID of its static pod, by which the kubelet names cgroups."""
_HASH_LENGTH = 32
ENDED: Final = frozenset({"Succeeded", "Failed"})
"""Phases of a pod that holds no memory any more; KubeVirt's objects use the same words."""


class KubeStruct(msgspec.Struct, frozen=True, gc=False, rename="camel", kw_only=True):
    """A struct whose fields are named as in the Kubernetes API; absent and null fields stay ``None``."""


class OwnerReference(KubeStruct, frozen=True):
    """A reference to the object that owns this one."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class ObjectMeta(KubeStruct, frozen=True):
    """The part of an object's metadata that rules use."""

    name: str = ""
    namespace: str | None = None
    generate_name: str | None = None
    uid: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None
    deletion_timestamp: str | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None


class ResourceRequirements(KubeStruct, frozen=True):
    """Requests and limits as written, before defaulting."""

    requests: ResourceList | None = None
    limits: ResourceList | None = None


class Container(KubeStruct, frozen=True):
    """One container of a pod; an init container with ``restart_policy`` Always is a sidecar."""

    name: str = ""
    resources: ResourceRequirements | None = None
    restart_policy: str | None = None

    @property
    def is_sidecar(self) -> bool:
        """Whether an init container is a sidecar; meaningless for regular containers."""
        return self.restart_policy == "Always"


class PodSpec(KubeStruct, frozen=True):
    """The part of a pod's spec that rules use."""

    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    overhead: ResourceList | None = None
    resources: ResourceRequirements | None = None
    priority: int | None = None
    priority_class_name: str | None = None
    runtime_class_name: str | None = None
    active_deadline_seconds: int | None = None
    node_name: str | None = None
    termination_grace_period_seconds: int | None = None


class ContainerStatus(KubeStruct, frozen=True):
    """The runtime's container behind a container of the pod: ``container_id`` is ``runtime://id``.

    ``allocated_resources`` are the requests that the kubelet works with, ``resources`` are those in force.
    """

    name: str = ""
    container_id: str | None = msgspec.field(default=None, name="containerID")
    allocated_resources: ResourceList | None = None
    resources: ResourceRequirements | None = None


class PodCondition(KubeStruct, frozen=True):
    """A condition in a pod's status."""

    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str | None = None
    last_transition_time: str | None = None


class PodStatus(KubeStruct, frozen=True):
    """The part of a pod's status from which its cgroups and its resources in force are found."""

    phase: str | None = None
    qos_class: str | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None
    conditions: tuple[PodCondition, ...] | None = None
    allocated_resources: ResourceList | None = None
    resources: ResourceRequirements | None = None

    @property
    def containers(self) -> Iterator[ContainerStatus]:
        """The statuses of init containers and regular ones."""
        yield from self.init_container_statuses or ()
        yield from self.container_statuses or ()


class Pod(KubeStruct, frozen=True):
    """A pod."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus | None = None

    @property
    def annotations(self) -> Mapping[str, str]:
        """The pod's annotations; empty where it has none."""
        return self.metadata.annotations or {}

    @property
    def containers(self) -> tuple[Container, ...]:
        """The regular containers."""
        return self.spec.containers or ()

    @property
    def init_containers(self) -> tuple[Container, ...]:
        """Plain init containers and sidecars, in order."""
        return self.spec.init_containers or ()

    def all_containers(self) -> Iterator[Container]:
        """Init containers, then the regular ones."""
        yield from self.init_containers
        yield from self.containers

    @property
    def has_ended(self) -> bool:
        """Whether the pod's containers have ended, though the object still exists."""
        return self.status is not None and self.status.phase in ENDED

    @property
    def cgroup_uid(self) -> str:
        """The UID by which the kubelet names the pod's cgroup; empty where it is not known.

        For a mirror pod it is the UID of the static pod, 32 hexadecimal digits in an annotation. Any other
        value there is ignored: users can write annotations, and it could be the UID of another pod.
        """
        of_static = self.annotations.get(HASH_ANNOTATION, "")
        if (
            MIRROR_ANNOTATION in self.annotations
            and len(of_static) == _HASH_LENGTH
            and set(of_static) <= set("0123456789abcdef")
        ):
            return of_static
        return self.metadata.uid or ""

    @property
    def label(self) -> str:
        """``namespace/name``, as people write it."""
        name = self.metadata.name or f"{self.metadata.generate_name or ''}*"
        return f"{self.metadata.namespace or 'default'}/{name}"


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def convert(manifest: Any, into: type[_Struct], label: str) -> _Struct:
    """Turn a parsed manifest into the struct ``into``.

    Raises:
        InvalidInput: a field has the wrong type; the message has its path.
    """
    try:
        return msgspec.convert(manifest, into, strict=True)
    except msgspec.ValidationError as error:
        raise _complaint(error, label) from error


def _complaint(error: msgspec.ValidationError, label: str) -> InvalidInput:
    problem, _, path = str(error).partition(" - at `$")
    return InvalidInput(f"{label} {path.rstrip('`').lstrip('.') or '(top level)'}", problem, "the API's type")
