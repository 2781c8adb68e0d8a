"""The facts about a node that the doctor's checks judge."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.overcommit.allowance import Allowance, Eligibility
from overbook.core.overcommit.swap import node_swap_bytes, ordinary_bytes, swap_suffices
from overbook.core.overcommit.writer import AskedWriter
from overbook.kernel.block_device import Medium
from overbook.kernel.capabilities import KernelCapabilities
from overbook.kernel.zswap import Zswap
from overbook.node.killers import Killer
from overbook.node.pod_places import PodPlace
from overbook.node.swap_own import EXISTING, named_areas
from overbook.node.swap_rooms import SwapRoom
from overbook.node.tune.watermark import Watermarks

Subject = Literal[
    "cgroup",
    "pressure",
    "provisioning",
    "swap",
    "kubelet",
    "writer",
    "hook",
    "system",
    "swappiness",
    "watermarks",
    "promises",
    "original",
    "owners",
    "kernel",
    "rooms",
    "places",
    "killers",
    "zswap",
]
"""The part of the node that a check is about; a key in JSON."""

_SHOWN: Final[Mapping[Subject, str]] = {
    "original": "wasp-agent",
    "promises": "overcommit",
    "rooms": "swap room",
    "places": "pods",
}
"""The names for people where they differ. ``overcommit`` is the kernel's own."""


class SwapDevice(msgspec.Struct, frozen=True, gc=False):
    """One swap area and its disk.

    Attributes:
        path: the device or file.
        size_bytes: its size.
        medium: the kind of disk below all partitions and mappings.
        lies_on: that disk's device, or the network share; empty: not known.
        priority: areas with a higher priority are used first.
        deleted: the file was removed while it is in use.
    """

    path: str
    size_bytes: int
    medium: Medium = "unknown"
    lies_on: str = ""
    priority: int = 0
    deleted: bool = False


class HostState(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A node's state; ``None``: there is no such thing, or it could not be read.

    Attributes:
        unread: why a subject could not be read.
        memory_bytes: MemTotal.
        cgroup_version: 1 or 2.
        pressure: whether the kernel reports pressure stall information.
        swap: the active swap areas.
        percent: ``memoryOvercommitPercentage``.
        provisioning: the word and the sentence in the state file of the swap program.
        kubelet: the kubelet's configuration; ``None``: no kubelet was found.
        kubelet_minor: the minor version of the kubelet 1.x; ``None``: not known.
        kubelet_place: where the kubelet's settings are changed here, for people; empty: in its configuration.
        kubelet_missing: the kubelet's configuration file, if it has gone since the kubelet started.
        kubelet_limits: whether the kubelet finds ``memory.swap.max`` in its own cgroup.
        eligibility: the pods that may swap.
        allowance: how much swap each gets.
        writer_asked: the configured writer of the limits.
        nri_socket: the NRI socket of the runtime; empty: there is none.
        swappiness: ``vm.swappiness``.
        overcommit_memory: ``vm.overcommit_memory``.
        panic_on_oom: ``vm.panic_on_oom``.
        watermarks: the sums over all zones.
        system_swap_max: ``memory.swap.max`` of ``system.slice``, as the kernel writes it.
        other_swap_max: the same for other top cgroups in which kubelet and runtime run, by name.
        huge_pages_bytes: memory that is set aside as huge pages, which never swaps.
        hook_folder: the folder of Overbook's hook; empty: it is not installed.
        hook_folders_read: the folders in which the runtime looks for hooks.
        leftovers: existing files of wasp-agent, below the root.
        owners: other programs that manage swap here.
        boot_swap: what turns on other swap at boot: entries of fstab, units, zram's generator.
        unexplained: active areas that are not Overbook's, and that nothing that was looked at turns on.
        swap_off: what runs ``swapoff``.
        masked_swap: what would turn on swap at boot if ``swap.target`` were not masked.
        own_areas: the active areas that Overbook turned on.
        own_kind: the kind of swap in Overbook's settings; empty: no settings are seen.
        own_setting: what the distribution has for swap, where no unit can be written; empty: it can.
        better_folder: a folder on a local disk for a swap file; empty: the default folder is on one;
            ``None``: none was found.
        nri_plugins: the plugins that the runtime starts itself.
        nri_connections: the number of programs that are connected to the runtime by NRI.
        kernel: what the running kernel can do.
        swap_rooms: the cgroups above containers, with their limits of swap.
        places: cgroups of pods and containers that are not below kubepods.
        sandboxes: the number of gVisor's sandboxes.
        killers: other programs that kill processes when memory runs short.
        open_files_seen: whether the open files of processes could be read to find such programs.
        zswap: its settings; ``None``: the kernel has none.
    """

    unread: Mapping[Subject, str] = {}
    memory_bytes: int = 0
    cgroup_version: int | None = None
    pressure: bool | None = None
    swap: tuple[SwapDevice, ...] = ()
    percent: int = 100
    provisioning: tuple[str, str] | None = None
    kubelet: KubeletConfiguration | None = None
    kubelet_minor: int | None = None
    kubelet_place: str = ""
    kubelet_missing: str = ""
    kubelet_limits: bool | None = None
    eligibility: Eligibility = "BurstableVirtualMachines"
    allowance: Allowance = "proportional"
    writer_asked: AskedWriter = "auto"
    nri_socket: str = ""
    swappiness: int | None = None
    overcommit_memory: int | None = None
    panic_on_oom: int | None = None
    watermarks: Watermarks | None = None
    system_swap_max: str | None = None
    other_swap_max: Mapping[str, str] = {}
    huge_pages_bytes: int = 0
    hook_folder: str = ""
    hook_folders_read: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    boot_swap: tuple[str, ...] = ()
    unexplained: tuple[str, ...] = ()
    swap_off: tuple[str, ...] = ()
    masked_swap: tuple[str, ...] = ()
    own_areas: frozenset[str] = frozenset()
    own_kind: str = ""
    own_setting: str = ""
    better_folder: str | None = ""
    nri_plugins: tuple[str, ...] = ()
    nri_connections: int = 0
    kernel: KernelCapabilities | None = None
    swap_rooms: tuple[SwapRoom, ...] = ()
    places: tuple[PodPlace, ...] | None = None
    sandboxes: int = 0
    killers: tuple[Killer, ...] | None = None
    open_files_seen: bool = False
    zswap: Zswap | None = None

    @property
    def swap_bytes(self) -> int:
        """The size of all areas together."""
        return sum(area.size_bytes for area in self.swap)

    def is_own(self, area: SwapDevice) -> bool:
        """Whether Overbook turned this area on."""
        return area.path in self.own_areas or area.path in named_areas(self.provisioning)

    @property
    def is_left_to_others(self) -> bool:
        """Whether Overbook was set to judge swap that others make, and to make none."""
        return self.own_kind == "existing" or (self.provisioning or ("",))[0] in EXISTING

    @property
    def switched_off(self) -> bool:
        """Whether Overbook's swap was on, and somebody has switched it off."""
        word, sentence = self.provisioning or ("", "")
        if word != "Ready" or "swap" in self.unread:
            return False
        return not self.swap or (": /" in sentence and not any(map(self.is_own, self.swap)))

    @property
    def demanded_bytes(self) -> int:
        """The swap that the percentage needs; 0 if the RAM is not known."""
        return node_swap_bytes(self.ordinary_bytes, self.percent) if self.ordinary_bytes else 0

    @property
    def ordinary_bytes(self) -> int:
        """The RAM without huge pages; 0 if it is not known."""
        return ordinary_bytes(self.memory_bytes, self.huge_pages_bytes)

    @property
    def swap_suffices(self) -> bool:
        """Whether there is as much swap as the percentage needs."""
        return swap_suffices(self.ordinary_bytes, self.swap_bytes, self.percent)


def shown_subject(subject: Subject) -> str:
    """The name of a subject in texts for people."""
    return _SHOWN.get(subject, subject)
