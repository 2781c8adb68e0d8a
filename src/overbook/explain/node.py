"""The node that a report is about."""

import msgspec

from overbook.core.kubevirt.overhead import Release
from overbook.core.overcommit.allowance import SwapPolicy


class ExplainedNode(msgspec.Struct, frozen=True):
    """A node and the cluster's settings.

    Attributes:
        memory_bytes: MemTotal.
        swap_bytes: SwapTotal.
        cpu_milli: its CPUs; ``None``: not known.
        policy: how swap is given out, the percentage among it.
        running: the KubeVirt release.
        cpu_quota: whether CPU limits are enforced.
        cpu_quota_from: where that is from, for people.
        memory_from: where the figure is from, for people.
        swap_from: likewise.
        percent_from: likewise.
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
