"""The node for which pods are explained."""

from typing import Final

import msgspec

from overbook.core.kubernetes.resources import Amounts
from overbook.core.kubernetes.version import PINNED, KubernetesVersion
from overbook.core.kubevirt.overhead import Release
from overbook.core.overcommit.allowance import SwapPolicy
from overbook.core.overcommit.swap import ordinary_bytes

THIS_MACHINE: Final = "this machine"
"""The source of figures that are those of the machine on which the command runs."""


class ExplainedNode(msgspec.Struct, frozen=True):
    """A node and the cluster's settings.

    Attributes:
        memory_bytes: MemTotal.
        swap_bytes: SwapTotal.
        cpu_milli: the node's CPUs in milli-CPU; ``None``: not known.
        policy: how swap is divided among containers; includes the percentage.
        running: the KubeVirt release.
        cpu_quota: whether CPU limits are enforced.
        cpu_quota_from: the source of ``cpu_quota``, such as an option's name.
        memory_from: the source of ``memory_bytes``, likewise.
        swap_from: the source of ``swap_bytes``, likewise.
        percent_from: the source of the percentage, likewise.
        allocatable: what pods may request together, where the node reports it; ``None``: not known.
        version: Kubernetes' version.
        version_from: its source; empty: the version whose rules Overbook has.
        huge_pages_bytes: the part of the memory that is set aside as huge pages.
    """

    memory_bytes: int
    swap_bytes: int
    cpu_milli: int | None
    policy: SwapPolicy
    running: Release
    cpu_quota: bool
    cpu_quota_from: str
    memory_from: str
    swap_from: str
    percent_from: str
    allocatable: Amounts | None = None
    version: KubernetesVersion = PINNED
    version_from: str = ""
    huge_pages_bytes: int = 0

    @property
    def ordinary_bytes(self) -> int:
        """The RAM without huge pages: percentages, and the swap that they need, are of this."""
        return ordinary_bytes(self.memory_bytes, self.huge_pages_bytes)
