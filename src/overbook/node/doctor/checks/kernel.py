"""The check of the kernel's other abilities: reclaim on request, and the size of its pages."""

from collections.abc import Iterator
from typing import Final

from overbook.core.text import shown
from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState

_USUAL_PAGE_BYTES: Final = 4096
_DOCUMENTED_PAGES: Final = 1000
"""The documented rule's swap traffic, in pages per second."""


def _kernel(facts: HostState) -> Iterator[HostFinding]:
    kernel = facts.kernel
    if kernel is None:
        return
    if kernel.reclaims is False:
        yield HostFinding(
            "Risky",
            "NoReclaim",
            "the kernel has no memory.reclaim: pods are evicted without an attempt to swap out cold "
            "memory first",
            "boot Linux 5.19 or later",
        )
    if kernel.page_bytes != _USUAL_PAGE_BYTES:
        rate = shown(_DOCUMENTED_PAGES * kernel.page_bytes)
        yield HostFinding(
            "Note",
            "LargePages",
            f"a page has {shown(kernel.page_bytes)}: {_DOCUMENTED_PAGES} pages per second, the "
            "documented rule on "
            f"swap traffic, are {rate} per second here, and {shown(_DOCUMENTED_PAGES * _USUAL_PAGE_BYTES)} "
            "with pages of 4Ki",
            "give inBytesPerSecond and outBytesPerSecond in the ruleset's swapTraffic",
        )


def _kernel_fine(facts: HostState) -> str:
    kernel = facts.kernel
    if kernel is None:
        return ""
    reclaims = "memory.reclaim; " if kernel.reclaims else ""
    return f"{reclaims}pages of {shown(kernel.page_bytes)}"


CHECK: Final = Check("kernel", _kernel, _kernel_fine)
