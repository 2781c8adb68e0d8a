"""What a node was found to be like, for the doctor. Nothing here says what is right."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.overcommit.allowance import Allowance, Eligibility
from overbook.core.overcommit.swap import node_swap_bytes, swap_suffices
from overbook.core.overcommit.writer import AskedWriter
from overbook.kernel.block_device import Medium
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
]
"""What is looked at. ``promises``: the kernel's own overcommit. ``original``: the original agent."""


class SwapDevice(msgspec.Struct, frozen=True, gc=False):
    """One swap area, and what it lies on.

    Attributes:
        path: the device or file.
        size_bytes: its size.
        medium: the kind of disk in the end.
        lies_on: the device or network share; empty: not known.
    """

    path: str
    size_bytes: int
    medium: Medium = "unknown"
    lies_on: str = ""


class HostState(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A node as it was found; ``None``: it is not there, or could not be told.

    Attributes:
        unread: why a subject could not be looked at.
        memory_bytes: MemTotal.
        cgroup_version: 1 or 2.
        pressure: whether the kernel reports pressure stall information.
        swap: the areas that are on.
        percent: ``memoryOvercommitPercentage``.
        provisioning: word and sentence of what provisioning left in its state file.
        kubelet: its configuration; ``None``: no kubelet was found.
        kubelet_limits: whether the kubelet finds ``memory.swap.max`` in its own cgroup.
        eligibility: who may swap.
        allowance: how much each gets.
        writer_asked: who shall write the limits.
        nri_socket: the runtime's; empty: it has none.
        swappiness: ``vm.swappiness``.
        overcommit_memory: ``vm.overcommit_memory``.
        panic_on_oom: ``vm.panic_on_oom``.
        watermarks: of all zones.
        system_swap_max: ``memory.swap.max`` of ``system.slice``, as the kernel writes it.
        hook_folder: where our hook lies; empty: it is not installed.
        hook_folders_read: where the runtime looks for hooks.
        leftovers: files of the original agent that are still there, below the root.
        owners: others that manage swap here.
        boot_swap: what turns swap on at boot and is not ours: entries of fstab, units, zram's generator.
        nri_plugins: plugins that the runtime starts by itself.
        nri_connections: programs that speak NRI with the runtime.
    """

    unread: Mapping[Subject, str] = {}
    memory_bytes: int = 0
    cgroup_version: int | None = None
    pressure: bool | None = None
    swap: tuple[SwapDevice, ...] = ()
    percent: int = 100
    provisioning: tuple[str, str] | None = None
    kubelet: KubeletConfiguration | None = None
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
    hook_folder: str = ""
    hook_folders_read: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    boot_swap: tuple[str, ...] = ()
    nri_plugins: tuple[str, ...] = ()
    nri_connections: int = 0

    @property
    def swap_bytes(self) -> int:
        """Of all areas together."""
        return sum(area.size_bytes for area in self.swap)

    @property
    def demanded_bytes(self) -> int:
        """Swap that the percentage demands; 0 where the RAM is not known."""
        return node_swap_bytes(self.memory_bytes, self.percent) if self.memory_bytes else 0

    @property
    def swap_suffices(self) -> bool:
        """Whether there is as much swap as the percentage demands."""
        return swap_suffices(self.memory_bytes, self.swap_bytes, self.percent)
