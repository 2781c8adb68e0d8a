"""The part of a ``KubeletConfiguration`` that decides about swap and memory, merged as the kubelet merges it.

The configuration file comes first, then the drop-in files in the order of their names, each merged into the
result so far; command-line flags win over all of them. Source: ``cmd/kubelet/app/server.go`` at v1.36
(merging follows RFC 7396), KEP-3983 (drop-ins), KEP-2400 (swap).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ResourceList, convert
from overbook.core.kubernetes.reserve import (
    DEFAULT_HARD_EVICTION,
    allocatable,
    reserved_percent,
    threshold_bytes,
)
from overbook.core.kubernetes.resources import Amounts, amounts

KubeletSwap = Literal["Refused", "NoSwap", "LimitedSwap"]
"""What the kubelet does about swap. ``Refused``: the kubelet does not start while swap is on."""

DEFAULT_EVICTION_HARD: Final[Mapping[str, str]] = {"memory.available": DEFAULT_HARD_EVICTION}
"""The kubelet's default for memory."""

_WHOLE: Final = 1_000_000
"""The reserved resources that may be given as percentages."""
_DISK_EVICTION: Final[Mapping[str, str]] = {"imagefs.available": "15%", "nodefs.available": "10%"}
"""The kubelet's default for disks."""

_FLAGS: Final[Mapping[str, str]] = {
    "fail-swap-on": "failSwapOn",
    "protect-kernel-defaults": "protectKernelDefaults",
    "cpu-cfs-quota": "cpuCFSQuota",
}
"""Old flags that still win over the file, and the field that each sets; ``cgroup-driver`` takes a text."""
_MAP_FLAGS: Final[Mapping[str, str]] = {
    "feature-gates": "featureGates",
    "kube-reserved": "kubeReserved",
    "qos-reserved": "qosReserved",
    "system-reserved": "systemReserved",
}
"""Likewise, for flags of the form ``key=value,key=value``. Feature gates are merged into the file's; the
other flags
replace the file's value."""


class MemorySwap(KubeStruct, frozen=True):
    """``memorySwap``."""

    swap_behavior: str = ""


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

    @property
    def swap(self) -> KubeletSwap:
        """What the kubelet does about swap."""
        if self.memory_swap.swap_behavior == "LimitedSwap":
            return "LimitedSwap"
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

    def enforced_bytes(self, memory_bytes: int) -> int:
        """Memory that all pods together may use on a node with so much RAM, in bytes.

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
        hard = {} if self.eviction_hard and not self.merge_default_eviction_settings else _DISK_EVICTION
        hard = {**hard, **(self.eviction_hard or {})}
        written = [hard.get(signal, "") for signal in _DISK_EVICTION]
        percents = [threshold_bytes(text, _WHOLE) * 100 / _WHOLE for text in written if text.endswith("%")]
        # 100 % switches either of the two off.
        kept = [100 - self.image_gc_high_threshold_percent, *(p for p in percents if 0 <= p < 100)]
        return math.ceil(max(kept))

    def eviction_bytes(self, memory_bytes: int) -> int:
        """The hard eviction threshold of ``memory.available``, in bytes; 0 where there is none.

        Raises:
            InvalidInput: the threshold is neither a quantity nor a percentage.
        """
        written = self.eviction_hard
        if written is None or (self.merge_default_eviction_settings and "memory.available" not in written):
            written = {**DEFAULT_EVICTION_HARD, **(written or {})}
        threshold = written.get("memory.available", "0%")
        # 0 % and 100 % switch a threshold off.
        return 0 if threshold in {"0%", "100%"} else threshold_bytes(threshold, memory_bytes)


def kubelet_configuration(
    documents: Sequence[Mapping[str, Any]], flags: Mapping[str, str] | None = None
) -> KubeletConfiguration:
    """The configuration that the kubelet uses.

    Args:
        documents: the fields of the file, then those of the drop-ins in the order of their names.
        flags: the flags of the kubelet's command line, without dashes; a flag without a value is ``true``.

    Raises:
        InvalidInput: a field has the wrong type.
    """
    merged: dict[str, Any] = {}
    for document in documents:
        merged = _merged(merged, document)
    given = flags or {}
    merged.update((field, _flag_value(flag, given[flag])) for flag, field in _FLAGS.items() if flag in given)
    for flag, field in _MAP_FLAGS.items():
        if flag in given:
            pairs = _pairs(flag, given[flag])
            merged[field] = {**merged.get(field, {}), **pairs} if field == "featureGates" else pairs
    if "cgroup-driver" in given:
        merged["cgroupDriver"] = given["cgroup-driver"]
    # These field names have initialisms, which the structs' rename="camel" does not produce.
    for written, renamed in (
        ("cpuCFSQuota", "cpuCfsQuota"),
        ("imageGCHighThresholdPercent", "imageGcHighThresholdPercent"),
    ):
        if written in merged:
            merged[renamed] = merged.pop(written)
    return convert(merged, KubeletConfiguration, "KubeletConfiguration")


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


def _flag_value(flag: str, text: str) -> bool:
    words = {"true": True, "1": True, "t": True, "": True, "false": False, "0": False, "f": False}
    value = words.get(text.lower())
    if value is None:
        raise InvalidInput(f"kubelet flag --{flag}", text, "true or false")
    return value


def _pairs(flag: str, text: str) -> dict[str, Any]:
    """``a=1,b=2`` as a mapping; a feature gate's values are true or false."""
    pairs = dict[str, Any]()
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise InvalidInput(f"kubelet flag --{flag}", text, "key=value, separated by commas")
        pairs[key.strip()] = _flag_value(flag, value) if flag == "feature-gates" else value.strip()
    return pairs
