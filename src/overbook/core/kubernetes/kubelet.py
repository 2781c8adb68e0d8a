"""The part of a ``KubeletConfiguration`` that decides about swap and memory, merged as the kubelet merges it.

The configuration file comes first, then the drop-in files in the order of their names, each merged into the
result so far; command-line flags win over all of them. The defaults of ``evictionHard`` belong to the file: a
kubelet from 1.25 on that has none, only drop-ins or flags, evicts by no default threshold. Source:
``cmd/kubelet/app/server.go`` at v1.36 (merging follows RFC 7396), KEP-3983 (drop-ins), KEP-2400 (swap),
KEP-2570 (MemoryQoS).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from overbook.core.kubernetes.kubelet_flags import with_flags
from overbook.core.kubernetes.pod import KubeStruct, ResourceList, convert
from overbook.core.kubernetes.reserve import (
    DEFAULT_HARD_EVICTION,
    allocatable,
    reserved_percent,
    threshold_bytes,
)
from overbook.core.kubernetes.resources import Amounts, amounts

KubeletSwap = Literal["Refused", "NoSwap", "LimitedSwap", "Unknown"]
"""What the kubelet does about swap. ``Refused``: the kubelet does not start while swap is on. ``Unknown``:
``swapBehavior`` has a word of which it is not known here what limits the kubelet then writes."""

MEMORY_SIGNAL: Final = "memory.available"
DEFAULT_EVICTION_HARD: Final[Mapping[str, str]] = {
    MEMORY_SIGNAL: DEFAULT_HARD_EVICTION,
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
"""The kubelet's default on Linux."""
DEFAULTS_OF_THE_FILE_ALONE: Final = 25
"""From this minor version on the kubelet has no default thresholds if it has no configuration file."""
MEMORY_QOS_ON: Final = 37
"""From this minor version on the feature gate MemoryQoS is on by default."""

_WHOLE: Final = 1_000_000
"""The reserved resources that may be given as percentages."""
_DISK_SIGNALS: Final = ("imagefs.available", "nodefs.available")
_RENAMED: Final = (
    ("cpuCFSQuota", "cpuCfsQuota"),
    ("imageGCHighThresholdPercent", "imageGcHighThresholdPercent"),
)
"""Field names with initialisms, which the structs' ``rename="camel"`` does not produce."""


class MemorySwap(KubeStruct, frozen=True):
    """``memorySwap``."""

    swap_behavior: str = ""


class EvictionStart(msgspec.Struct, frozen=True, gc=False):
    """The highest threshold of ``memory.available`` at which the kubelet begins to evict.

    Attributes:
        size_bytes: the threshold; 0: the kubelet does not evict for want of memory.
        field: the field that has it.
        grace: how long memory has to be below it; empty: not at all.
    """

    size_bytes: int
    field: Literal["evictionHard", "evictionSoft"] = "evictionHard"
    grace: str = ""


class KubeletConfiguration(KubeStruct, frozen=True):
    """Fields of ``kubelet.config.k8s.io/v1beta1``; an absent one has the kubelet's default."""

    fail_swap_on: bool = True
    memory_swap: MemorySwap = MemorySwap()
    protect_kernel_defaults: bool = False
    cgroup_driver: str = "cgroupfs"
    eviction_hard: dict[str, str] | None = None
    merge_default_eviction_settings: bool = False
    system_reserved: ResourceList | None = None
    kube_reserved: ResourceList | None = None
    cpu_cfs_quota: bool = True
    qos_reserved: dict[str, str] | None = None
    feature_gates: dict[str, bool] | None = None
    image_gc_high_threshold_percent: int = 85
    eviction_soft: dict[str, str] | None = None
    eviction_soft_grace_period: dict[str, str] | None = None
    enforce_node_allocatable: list[str] | None = None
    memory_throttling_factor: float | None = None
    memory_reservation_policy: str = "None"

    @property
    def swap(self) -> KubeletSwap:
        """What the kubelet does about swap."""
        behavior = self.memory_swap.swap_behavior
        if behavior == "LimitedSwap":
            return "LimitedSwap"
        if behavior not in {"", "NoSwap"}:
            return "Unknown"
        return "Refused" if self.fail_swap_on else "NoSwap"

    @property
    def qos_reserved_percent(self) -> int | None:
        """The kubelet's own ``qosReserved`` for memory, in percent; ``None``: not set, or its gate is off.

        Raises:
            InvalidInput: the value is not a percentage.
        """
        if not (self.feature_gates or {}).get("QOSReserved") or "memory" not in (self.qos_reserved or {}):
            return None
        return reserved_percent((self.qos_reserved or {})["memory"])

    @property
    def reserved(self) -> tuple[Amounts, Amounts]:
        """``kubeReserved`` and ``systemReserved``.

        Raises:
            InvalidInput: a quantity is not valid.
        """
        return amounts(self.kube_reserved, "kubeReserved."), amounts(self.system_reserved, "systemReserved.")

    @property
    def enforces_allocatable(self) -> bool:
        """Whether the kubelet limits the cgroup of all pods (``enforceNodeAllocatable``: ``pods``)."""
        return self.enforce_node_allocatable is None or "pods" in self.enforce_node_allocatable

    def enforced_bytes(self, memory_bytes: int) -> int:
        """Memory that all pods together may use on a node with so much RAM, in bytes.

        `qosReserved` is computed from this, too, whether or not the kubelet enforces it.

        Raises:
            InvalidInput: a quantity is not valid.
        """
        kube, system = self.reserved
        left = allocatable(Amounts.of(0, memory_bytes), kube_reserved=kube, system_reserved=system)
        return left.enforced.memory_bytes or 0

    @property
    def disk_percent_kept_free(self) -> int:
        """The percentage of the image file system, 0 to 100, below which images are deleted and pods evicted.

        Thresholds in bytes are left out.

        Raises:
            InvalidInput: a percentage is not valid.
        """
        hard = self._hard
        written = [hard.get(signal, "") for signal in _DISK_SIGNALS]
        percents = [threshold_bytes(text, _WHOLE) * 100 / _WHOLE for text in written if text.endswith("%")]
        # 100 % switches either of the two off.
        kept = [100 - self.image_gc_high_threshold_percent, *(p for p in percents if 0 <= p < 100)]
        return math.ceil(max(kept))

    def eviction_bytes(self, memory_bytes: int) -> int:
        """The hard eviction threshold of ``memory.available``, in bytes; 0 where there is none.

        Raises:
            InvalidInput: the threshold is neither a quantity nor a percentage.
        """
        return _threshold(self._hard, memory_bytes)

    def pods_eviction_bytes(self, memory_bytes: int) -> int:
        """What is left of the limit of all pods when the kubelet evicts for that limit, in bytes; 0: never.

        Where it enforces that limit, the kubelet copies the hard threshold, and only that, to the signal
        ``allocatableMemory.available``: the limit minus the working set of all pods. A percentage is one of
        the limit. Source: ``addAllocatableThresholds`` in ``pkg/kubelet/eviction/helpers.go``.

        Raises:
            InvalidInput: the threshold is neither a quantity nor a percentage.
        """
        return _threshold(self._hard, self.enforced_bytes(memory_bytes)) if self.enforces_allocatable else 0

    def eviction_start(self, memory_bytes: int) -> EvictionStart:
        """The threshold at which evicting begins: the higher one of the hard and the soft threshold.

        Raises:
            InvalidInput: a threshold is neither a quantity nor a percentage.
        """
        hard, soft = self.eviction_bytes(memory_bytes), _threshold(self.eviction_soft or {}, memory_bytes)
        if soft <= hard:
            return EvictionStart(hard)
        return EvictionStart(
            soft, "evictionSoft", (self.eviction_soft_grace_period or {}).get(MEMORY_SIGNAL, "")
        )

    def has_memory_qos(self, minor: int | None) -> bool:
        """Whether the feature gate MemoryQoS is on, for a kubelet 1.`minor`; ``None``: not known."""
        default = minor is not None and minor >= MEMORY_QOS_ON
        return (self.feature_gates or {}).get("MemoryQoS", default)

    def protects_requests(self, minor: int | None) -> bool:
        """Whether ``memory.min`` and ``memory.low`` protect what pods request from reclaim."""
        # A kubelet with the policy but without the gate does not start: of an unknown version it is on.
        gate = self.has_memory_qos(MEMORY_QOS_ON if minor is None else minor)
        return gate and self.memory_reservation_policy == "TieredReservation"

    def throttles_memory(self, minor: int | None) -> bool:
        """Whether the kubelet sets ``memory.high`` of containers that may use more than they request."""
        if not self.has_memory_qos(minor):
            return False
        return self.memory_throttling_factor is not None or minor is None or minor < MEMORY_QOS_ON

    @property
    def _hard(self) -> Mapping[str, str]:
        if self.eviction_hard is None:
            return DEFAULT_EVICTION_HARD
        return {
            **(DEFAULT_EVICTION_HARD if self.merge_default_eviction_settings else {}),
            **self.eviction_hard,
        }


def kubelet_configuration(
    documents: Sequence[Mapping[str, Any]],
    flags: Mapping[str, str] | None = None,
    *,
    has_file: bool | None = None,
    minor: int | None = None,
) -> KubeletConfiguration:
    """The configuration that the kubelet uses.

    Args:
        documents: the fields of the file, then those of the drop-ins in the order of their names.
        flags: the flags of the kubelet's command line, without dashes; a flag without a value is ``true``.
        has_file: whether the first document is the file, and not a drop-in; ``None``: it is, if there is one.
        minor: the minor version of the kubelet 1.x; ``None``: not known.

    Raises:
        InvalidInput: a field has the wrong type.
    """
    merged = dict[str, Any]()
    rest = documents
    if documents and has_file is not False:
        merged = _merged(merged, documents[0])
        rest = documents[1:]
        hard = merged.get("evictionHard")
        if not isinstance(hard, Mapping):
            merged.setdefault("evictionHard", dict(DEFAULT_EVICTION_HARD))
        elif merged.get("mergeDefaultEvictionSettings") is True:
            merged["evictionHard"] = {**DEFAULT_EVICTION_HARD, **hard}
    elif minor is not None and minor < DEFAULTS_OF_THE_FILE_ALONE:
        merged["evictionHard"] = dict(DEFAULT_EVICTION_HARD)
    for document in rest:
        merged = _merged(merged, document)
    merged = with_flags(merged, flags or {})
    merged.setdefault("evictionHard", {})
    # The kubelet merges its defaults into the file alone, which is done; what a drop-in says comes too late.
    merged.pop("mergeDefaultEvictionSettings", None)
    return _converted(merged)


def reported_configuration(fields: Mapping[str, Any]) -> KubeletConfiguration:
    """The configuration that a kubelet reports on ``/configz``, with all defaults, but without empty maps.

    Raises:
        InvalidInput: a field has the wrong type.
    """
    return _converted({"evictionHard": {}, **fields, "mergeDefaultEvictionSettings": False})


def _converted(fields: dict[str, Any]) -> KubeletConfiguration:
    for written, renamed in _RENAMED:
        if written in fields:
            fields[renamed] = fields.pop(written)
    return convert(fields, KubeletConfiguration, "KubeletConfiguration")


def _threshold(written: Mapping[str, str], memory_bytes: int) -> int:
    threshold = written.get(MEMORY_SIGNAL, "0%")
    # 0 % and 100 % switch a threshold off.
    return 0 if threshold in {"0%", "100%"} else threshold_bytes(threshold, memory_bytes)


def _merged(onto: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch applied (RFC 7396): objects are merged, ``null`` removes, everything else replaces."""
    result = dict(onto)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            below = result.get(key)
            result[key] = _merged(below if isinstance(below, Mapping) else {}, value)
        else:
            result[key] = value
    return result
