"""This node's numbers for the pages; an unreadable number is shown as such and is no error."""

import argparse
import os
from collections.abc import Callable

import msgspec

from overbook.cli.options import percentage
from overbook.cli.units import size_bytes
from overbook.core.overcommit.swap import ordinary_bytes, percent_for_swap
from overbook.core.text import shown
from overbook.kernel.cgroup_version import check_cgroup2
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.psi import read_pressure
from overbook.kernel.swaps import read_swaps
from overbook.kernel.sysctl import (
    VM_OVERCOMMIT_MEMORY,
    VM_PANIC_ON_OOM,
    VM_SWAPPINESS,
    IntegerSysctl,
)

NOT_READABLE = "not readable here"


class Here(msgspec.Struct, frozen=True):
    """A node's numbers: this machine's, unless options describe another node.

    Attributes:
        memory_bytes: RAM; ``None``: not known.
        swap_bytes: swap; ``None``: not known.
        cpus: CPUs.
        percent: the percentage, if it was given.
        name: the node's name in the page.
        root: the folder with /proc and /sys; ``None``: the node is not this machine, so nothing is read.
        huge_pages_bytes: the part of the RAM that is set aside as huge pages.
    """

    memory_bytes: int | None
    swap_bytes: int | None
    cpus: int | None
    percent: int | None
    name: str
    root: str | None
    huge_pages_bytes: int = 0

    @property
    def ordinary_bytes(self) -> int | None:
        """RAM without huge pages, of which percentages are; ``None``: not known."""
        return None if self.memory_bytes is None else ordinary_bytes(self.memory_bytes, self.huge_pages_bytes)

    @property
    def memory(self) -> str:
        """RAM as text."""
        if self.memory_bytes is None:
            return NOT_READABLE
        huge = f" ({shown(self.huge_pages_bytes)} of it huge pages)" if self.huge_pages_bytes else ""
        return shown(self.memory_bytes) + huge

    @property
    def swap(self) -> str:
        """Swap as text."""
        return NOT_READABLE if self.swap_bytes is None else shown(self.swap_bytes)

    @property
    def carried(self) -> str:
        """The percentage for which the swap is large enough."""
        if not self.ordinary_bytes or self.swap_bytes is None:
            return NOT_READABLE
        return f"{percent_for_swap(self.ordinary_bytes, self.swap_bytes)} %"

    def sysctl(self, parameter: IntegerSysctl) -> str:
        """A kernel parameter's value."""
        return self._read(lambda root: str(parameter.read(root)))

    @property
    def swappiness(self) -> str:
        """``vm.swappiness``."""
        return self.sysctl(VM_SWAPPINESS)

    @property
    def overcommit_memory(self) -> str:
        """``vm.overcommit_memory``."""
        return self.sysctl(VM_OVERCOMMIT_MEMORY)

    @property
    def panic_on_oom(self) -> str:
        """``vm.panic_on_oom``."""
        return self.sysctl(VM_PANIC_ON_OOM)

    @property
    def swap_areas(self) -> str:
        """The swap areas in use."""

        def areas(root: str) -> str:
            listed = [f"{area.filename} ({area.type}, {shown(area.size_bytes)})" for area in read_swaps(root)]
            return ", ".join(listed) or "none"

        return self._read(areas)

    @property
    def pressure(self) -> str:
        """Whether the kernel has PSI, and the present memory pressure."""

        def stall(root: str) -> str:
            full = read_pressure("memory", root).full
            return (
                "readable"
                if full is None
                else f"readable; all work stalled {full.avg10:g} % of the last 10 s"
            )

        return self._read(stall, missing="off: boot with psi=1")

    @property
    def cgroup(self) -> str:
        """The cgroup version."""

        def version(root: str) -> str:
            try:
                return f"version {check_cgroup2(root).version}"
            except MissingKernelFile:
                return "not mounted"
            except KernelFileError:
                return "version 1, or a hybrid of both"

        return self._read(version)

    def _read(self, read: Callable[[str], str], missing: str = NOT_READABLE) -> str:
        if self.root is None:
            return "not read: another machine"
        try:
            return read(self.root)
        except MissingKernelFile:
            return missing
        except KernelFileError:
            return NOT_READABLE


def read_here(arguments: argparse.Namespace, root: str = "/") -> Here:
    """The node that the options describe, or else this machine.

    Raises:
        InvalidInput: an option is not valid.
    """
    percent = None if arguments.percent is None else percentage(arguments.percent, "--percent")
    if arguments.node_memory is not None:
        swap = None
        if arguments.node_swap is not None:
            swap = (
                0
                if arguments.node_swap == "0"
                else size_bytes(arguments.node_swap, "--node-swap", arguments.node_memory)
            )
        elif percent is not None:
            from overbook.core.overcommit.swap import node_swap_bytes

            swap = node_swap_bytes(size_bytes(arguments.node_memory, "--node-memory"), percent)
        memory = size_bytes(arguments.node_memory, "--node-memory")
        return Here(memory, swap or 0, None, percent, "the node", None)
    try:
        meminfo = read_meminfo(root)
    except KernelFileError:
        return Here(None, None, os.cpu_count(), percent, "this machine", root)
    swap_total = meminfo.swap_total_bytes or 0
    huge_pages = meminfo.hugetlb_bytes or 0
    name = "this machine"
    return Here(meminfo.mem_total_bytes, swap_total, os.cpu_count(), percent, name, root, huge_pages)
