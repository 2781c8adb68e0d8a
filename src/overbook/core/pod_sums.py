"""What many pods ask for together, folded pod by pod: no list of pods is needed, whatever their number.

Sums can be added and taken away again, so a view of a cluster follows its changes.
"""

from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.overcommit import Levels, pod_levels
from overbook.core.pod import Pod
from overbook.core.vm import is_virtual_machine_pod
from overbook.core.vm_memory import guest_bytes, told_guest_bytes
from overbook.core.vm_overhead import OVERHEAD_ANNOTATION

MOST_SHAPES: Final = 8192
"""Different pods whose sums are kept: fifty thousand pods are the replicas of some hundred workloads."""

_ENCODER: Final = msgspec.msgpack.Encoder()


class PodSums(msgspec.Struct, frozen=True, gc=False):
    """Pods together.

    Attributes:
        pods: how many.
        levels: requests, limits, and how many have none.
        virtual_machines: how many of them are virtual machines' pods.
        guest_bytes: memory that the guests in them were told they have.
        guests_estimated: how many of them do not tell KubeVirt's overhead: all of their request counts as
            the guest's, which is a little too much.
    """

    pods: int = 0
    levels: Levels = Levels()
    virtual_machines: int = 0
    guest_bytes: int = 0
    guests_estimated: int = 0

    def __add__(self, other: "PodSums") -> "PodSums":
        return PodSums(
            self.pods + other.pods,
            self.levels + other.levels,
            self.virtual_machines + other.virtual_machines,
            self.guest_bytes + other.guest_bytes,
            self.guests_estimated + other.guests_estimated,
        )

    def __sub__(self, other: "PodSums") -> "PodSums":
        return PodSums(
            self.pods - other.pods,
            self.levels - other.levels,
            self.virtual_machines - other.virtual_machines,
            self.guest_bytes - other.guest_bytes,
            self.guests_estimated - other.guests_estimated,
        )


NO_PODS: Final = PodSums()


class Summing:
    """One pod's sums, worked out once for all pods that differ in nothing that counts here.

    Args:
        percent: the cluster's ``memoryOvercommitPercentage``, from which guests' sizes are told.
    """

    def __init__(self, percent: int) -> None:
        self._percent = percent
        self._known: dict[tuple[object, ...], PodSums] = {}

    def of(self, pod: Pod) -> PodSums:
        """The sums of one pod.

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
        sums = self._known.get(shape)
        if sums is None:
            if len(self._known) >= MOST_SHAPES:
                self._known.clear()
            sums = self._known[shape] = _sums(pod, self._percent, machine=machine)
        return sums


def _sums(pod: Pod, percent: int, *, machine: bool) -> PodSums:
    levels = pod_levels(pod)
    guest: int | None = None
    if machine:
        try:
            guest = told_guest_bytes(pod, percent)
        except InvalidInput:  # an annotation that is no size: nothing is told by it
            guest = None
    estimated = machine and guest is None
    if estimated:
        guest = guest_bytes(levels.memory.requested, 0, percent)
    return PodSums(
        pods=1,
        levels=levels,
        virtual_machines=int(machine),
        guest_bytes=guest or 0,
        guests_estimated=int(estimated),
    )
