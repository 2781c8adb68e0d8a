"""The wanted kernel settings of a node that overcommits, and the restored ones when tuning is removed.

A setting has the kernel's name: ``vm.swappiness``, or a cgroup's file such as
``system.slice/memory.swap.max``. Values are texts, as the kernel writes them.

Sources: kernel Documentation, admin-guide/sysctl/vm; the kubelet's ``setupKernelTunables`` at v1.36, which
sets ``vm.overcommit_memory=1`` and ``vm.panic_on_oom=0`` when it starts, or with ``protectKernelDefaults``
refuses to start if they differ.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

from overbook.core.text import shown
from overbook.node.tune.watermark import Watermarks, highest_low_bytes, scale_factor, wanted_low_bytes

OVERCOMMIT_MEMORY: Final = "vm.overcommit_memory"
PANIC_ON_OOM: Final = "vm.panic_on_oom"
SWAPPINESS: Final = "vm.swappiness"
WATERMARK_SCALE_FACTOR: Final = "vm.watermark_scale_factor"
SYSCTLS: Final = (OVERCOMMIT_MEMORY, PANIC_ON_OOM, SWAPPINESS, WATERMARK_SCALE_FACTOR)
SYSTEM_SLICE: Final = "system.slice"
SYSTEM_SWAP_MAX: Final = f"{SYSTEM_SLICE}/memory.swap.max"
SYSTEM_IO_LATENCY: Final = f"{SYSTEM_SLICE}/io.latency"
"""The prefix of a disk's setting, such as ``system.slice/io.latency/259:0``."""

KUBELET_DEMANDS: Final[Mapping[str, str]] = {OVERCOMMIT_MEMORY: "1", PANIC_ON_OOM: "0"}
SWAPPINESS_RANGE: Final = (1, 100)
"""At 0 nothing is swapped while there is page cache; above 100 swapping comes before dropping page cache."""
USUAL_SWAPPINESS: Final = 60
IO_LATENCY_MILLISECONDS: Final = 50
"""How long a disk request of ``system.slice`` may wait before others are throttled."""

Overcommit = Literal["on", "off"]
"""Whether the kernel always allows allocations (1), or refuses obviously too large ones (0)."""


class TuningFacts(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A node's present state.

    Attributes:
        values: the present value by the setting's name; absent: this kernel has no such setting.
        watermarks: the watermarks of all zones; ``None``: not known.
        eviction_bytes: the kubelet's highest threshold of ``memory.available``, hard or soft; 0: none.
        eviction_field: the field that has it.
        slices: the top cgroups of the system, of the kubelet and of the runtime.
        io_latency_disks: numbers of the disks of root and swap, if the kernel has io.latency.
        kubelet: ``Lenient``: sets values that differ; ``Strict`` (``protectKernelDefaults``): does not start
            then; ``Stopped``: installed but not running; ``Absent``: not installed.
    """

    values: Mapping[str, str]
    watermarks: Watermarks | None = None
    eviction_bytes: int = 0
    eviction_field: str = "evictionHard"
    slices: tuple[str, ...] = (SYSTEM_SLICE,)
    io_latency_disks: tuple[str, ...] = ()
    kubelet: Literal["Lenient", "Strict", "Stopped", "Absent"] = "Absent"


class WantedSetting(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A setting with its wanted value.

    Attributes:
        name: the setting.
        present: the present value; ``None``: there is no such setting now.
        wanted: the wanted value.
        sentence: the reason.
    """

    name: str
    present: str | None
    wanted: str
    sentence: str

    @property
    def differs(self) -> bool:
        """Whether the setting must be changed."""
        return self.present is not None and self.present != self.wanted


class Remembered(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A setting that was changed.

    Attributes:
        before: the value before the first change.
        ours: the values that Overbook has set since, oldest first.
    """

    before: str
    ours: tuple[str, ...]


class RestoredSetting(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A setting when tuning is removed.

    Attributes:
        name: the setting.
        value: the value to write; ``None``: the setting stays as it is.
        sentence: a description of the change with its reason.
    """

    name: str
    value: str | None
    sentence: str


def overcommit_refusal(kubelet: Literal["Lenient", "Strict", "Stopped", "Absent"]) -> str | None:
    """Why overcommit cannot be switched off on this node; ``None`` if it can."""
    if kubelet == "Strict":
        return (
            "the kubelet of this node runs with protectKernelDefaults: true: with vm.overcommit_memory=0 it "
            "would fail to start at its next restart; first set protectKernelDefaults: false for it"
        )
    if kubelet == "Stopped":
        return (
            "the kubelet of this node does not run, so it is not known whether it has protectKernelDefaults: "
            "true, with which it would fail to start; start it first"
        )
    return None


def wishes(
    facts: TuningFacts, overcommit: Overcommit, remembered: Mapping[str, Remembered]
) -> tuple[WantedSetting, ...]:
    """The wanted settings, without those that are right and were never changed by Overbook.

    Args:
        facts: the node's present state.
        overcommit: whether the kernel shall overcommit.
        remembered: the settings that were changed earlier; they stay as long as they are right.
    """
    return (*_overcommit(facts, overcommit), *_swapping(facts, remembered), *_system(facts))


def _overcommit(facts: TuningFacts, overcommit: Overcommit) -> Iterator[WantedSetting]:
    present = facts.values.get(OVERCOMMIT_MEMORY)
    if overcommit == "off":
        why = "overcommit is off here: the kernel refuses obviously too large allocations"
        yield WantedSetting(OVERCOMMIT_MEMORY, present, "0", why)
    else:
        why = "the kernel always allows allocations, as VMs larger than RAM need"
        yield WantedSetting(OVERCOMMIT_MEMORY, present, KUBELET_DEMANDS[OVERCOMMIT_MEMORY], why)
    why = "out of memory, the kernel kills a process and does not restart the node"
    yield WantedSetting(PANIC_ON_OOM, facts.values.get(PANIC_ON_OOM), KUBELET_DEMANDS[PANIC_ON_OOM], why)


def _swapping(facts: TuningFacts, remembered: Mapping[str, Remembered]) -> Iterator[WantedSetting]:
    swappiness = facts.values.get(SWAPPINESS)
    if swappiness is not None:
        least, most = SWAPPINESS_RANGE
        if not swappiness_is_sound(int(swappiness)):
            why = f"from {least} to {most} the kernel weighs swap against page cache"
            yield WantedSetting(SWAPPINESS, swappiness, str(USUAL_SWAPPINESS), why)
        elif _is_ours(SWAPPINESS, swappiness, remembered):
            yield WantedSetting(SWAPPINESS, swappiness, swappiness, "as Overbook set it")
    factor = facts.values.get(WATERMARK_SCALE_FACTOR)
    if factor is None or facts.watermarks is None:
        return
    needed = scale_factor(facts.watermarks, facts.eviction_bytes) if facts.eviction_bytes else None
    if needed is not None:
        low, wanted = facts.watermarks.low_bytes, _wanted_low(facts)
        why = (
            f"the kernel begins to swap below {shown(low)} free, the kubelet evicts below "
            f"{shown(facts.eviction_bytes)}: swapping should begin at {shown(wanted)}"
        )
        yield WantedSetting(WATERMARK_SCALE_FACTOR, factor, str(max(needed, int(factor))), why)
    elif _is_ours(WATERMARK_SCALE_FACTOR, factor, remembered):
        low = facts.watermarks.low_bytes
        why = f"the kernel begins to swap below {shown(low)} free, before the kubelet evicts"
        yield WantedSetting(WATERMARK_SCALE_FACTOR, factor, factor, why)


def _system(facts: TuningFacts) -> Iterator[WantedSetting]:
    why = "kubelet and runtime must not stall together with the pods"
    for slice_ in facts.slices:
        name = f"{slice_}/memory.swap.max"
        yield WantedSetting(name, facts.values.get(name), "0", why)
    why = f"the system waits at most {IO_LATENCY_MILLISECONDS} ms for a disk that the pods swap on"
    target = str(IO_LATENCY_MILLISECONDS * 1000)
    for slice_ in facts.slices:
        for disk in facts.io_latency_disks:
            name = f"{slice_}/io.latency/{disk}"
            yield WantedSetting(name, facts.values.get(name), target, why)


def swappiness_is_sound(swappiness: int) -> bool:
    """Whether the kernel weighs swap against page cache, and does not always prefer one."""
    least, most = SWAPPINESS_RANGE
    return least <= swappiness <= most


def shortcomings(facts: TuningFacts) -> tuple[str, ...]:
    """Sentences about what tuning cannot achieve on this node."""
    found = []
    if SYSTEM_SWAP_MAX not in facts.values:
        found.append("there is no system.slice that limits swap: nothing keeps the system out of swap")
    factor = facts.values.get(WATERMARK_SCALE_FACTOR)
    if factor is not None and facts.watermarks is not None and facts.eviction_bytes:
        low = highest_low_bytes(facts.watermarks)
        if low <= facts.eviction_bytes:
            found.append(
                f"the kubelet evicts below {shown(facts.eviction_bytes)}, and the kernel can begin to swap "
                f"no earlier than at {shown(low)}: pods are evicted before anything is swapped; lower "
                f"memory.available in the kubelet's {facts.eviction_field}"
            )
    return tuple(found)


def put_back(name: str, entry: Remembered, present: str | None, *, strict_kubelet: bool) -> RestoredSetting:
    """The value for a changed setting when tuning is removed.

    The old value is restored only if the present one was set by Overbook: a value that another program set
    since stays. If the kubelet would refuse to start with the old value, the kubelet's value is written.

    Args:
        name: the setting.
        entry: the remembered values.
        present: the present value.
        strict_kubelet: whether the kubelet runs with ``protectKernelDefaults``.
    """
    if present is None:
        return RestoredSetting(name, None, f"{name} no longer exists")
    if present == entry.before:
        return RestoredSetting(name, None, f"{name} is {present}, as before")
    if present in entry.ours:
        demanded = KUBELET_DEMANDS.get(name) if strict_kubelet else None
        if demanded is None or demanded == entry.before:
            return RestoredSetting(name, entry.before, f"{name} is restored from {present} to {entry.before}")
        sentence = (
            f"{name} is {demanded} now, not {entry.before} as before: with that the kubelet, which has "
            "protectKernelDefaults: true, would fail to start at its next restart"
        )
        return RestoredSetting(name, demanded if present != demanded else None, sentence)
    return RestoredSetting(
        name,
        None,
        f"{name} stays {present}: it was changed since by another program or person; it was {entry.before} "
        f"at first, and Overbook set {entry.ours[-1]}",
    )


def _is_ours(name: str, present: str, remembered: Mapping[str, Remembered]) -> bool:
    return name in remembered and present in remembered[name].ours


def _wanted_low(facts: TuningFacts) -> int:
    return wanted_low_bytes(facts.eviction_bytes, facts.watermarks.managed_bytes) if facts.watermarks else 0
