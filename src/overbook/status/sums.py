"""Sums over many pods: each pod is added to its sum when it is read, so that no list of pods is kept.

A sum can also be subtracted, so a live view of a cluster follows its changes.
"""

from typing import Final

import msgspec

from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.qos import QosClass
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubevirt.overhead import OVERHEAD_ANNOTATION
from overbook.core.kubevirt.vm import is_virtual_machine_pod
from overbook.core.overcommit.level import Levels, pod_levels
from overbook.core.overcommit.promise import promise_bytes

MOST_SHAPES: Final = 8192
"""How many different pods' sums are kept. Fifty thousand pods are replicas of some hundred workloads."""

_ENCODER: Final = msgspec.msgpack.Encoder()


class PodSums(msgspec.Struct, frozen=True, gc=False):
    """The sums of some pods.

    Attributes:
        pods: the number of pods.
        levels: their requests and limits, and how many have none.
        virtual_machines: the number of pods of virtual machines.
        guest_bytes: the memory that is promised to the guests in them, by :func:`promise_bytes`.
    """

    pods: int = 0
    levels: Levels = Levels()
    virtual_machines: int = 0
    guest_bytes: int = 0

    def __add__(self, other: "PodSums") -> "PodSums":
        return PodSums(
            self.pods + other.pods,
            self.levels + other.levels,
            self.virtual_machines + other.virtual_machines,
            self.guest_bytes + other.guest_bytes,
        )

    def __sub__(self, other: "PodSums") -> "PodSums":
        return PodSums(
            self.pods - other.pods,
            self.levels - other.levels,
            self.virtual_machines - other.virtual_machines,
            self.guest_bytes - other.guest_bytes,
        )


NO_PODS: Final = PodSums()


class Summing:
    """Computes the sums of a pod, once for all pods with the same containers.

    Args:
        percent: the cluster's ``memoryOvercommitPercentage``, from which guest sizes are derived.
    """

    def __init__(self, percent: int) -> None:
        self._percent = percent
        self._known: dict[tuple[object, ...], tuple[PodSums, QosClass]] = {}

    def of(self, pod: Pod) -> PodSums:
        """The sums of one pod.

        Raises:
            InvalidInput: a quantity is one that the API server refuses.
        """
        return self.with_class(pod)[0]

    def with_class(self, pod: Pod) -> tuple[PodSums, QosClass]:
        """The sums of one pod, and its QoS class.

        Raises:
            InvalidInput: a quantity is one that the API server refuses.
        """
        spec = pod.spec
        machine = is_virtual_machine_pod(pod)
        shape = (
            _ENCODER.encode((spec.containers, spec.init_containers, spec.overhead, spec.resources)),
            pod.annotations.get(OVERHEAD_ANNOTATION) if machine else None,
            machine,
        )
        known = self._known.get(shape)
        if known is None:
            if len(self._known) >= MOST_SHAPES:
                self._known.clear()
            resolved = resolve(pod)
            sums = PodSums(
                pods=1,
                levels=pod_levels(resolved),
                virtual_machines=int(machine),
                guest_bytes=promise_bytes(resolved, self._percent) if machine else 0,
            )
            known = self._known[shape] = (sums, resolved.qos_class)
        return known
