"""What many pods ask for together, folded pod by pod: no list of pods is needed, whatever their number.

Sums can be added and taken away again, so a view of a cluster follows its changes.
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
"""Different pods whose sums are kept: fifty thousand pods are the replicas of some hundred workloads."""

_ENCODER: Final = msgspec.msgpack.Encoder()


class PodSums(msgspec.Struct, frozen=True, gc=False):
    """Pods together.

    Attributes:
        pods: how many.
        levels: requests, limits, and how many have none.
        virtual_machines: how many of them are virtual machines' pods.
        guest_bytes: memory that the guests in them were told they have, by :func:`promise_bytes`.
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
    """One pod's sums, worked out once for all pods that differ in nothing that counts here.

    Args:
        percent: the cluster's ``memoryOvercommitPercentage``, from which guests' sizes are told.
    """

    def __init__(self, percent: int) -> None:
        self._percent = percent
        self._known: dict[tuple[object, ...], tuple[PodSums, QosClass]] = {}

    def of(self, pod: Pod) -> PodSums:
        """The sums of one pod.

        Raises:
            InvalidInput: a quantity that the API server refuses.
        """
        return self.with_class(pod)[0]

    def with_class(self, pod: Pod) -> tuple[PodSums, QosClass]:
        """The sums of one pod, and its QoS class.

        Raises:
            InvalidInput: a quantity that the API server refuses.
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
