"""The check of the cgroup version: whether swap can be limited for each container."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState


def _cgroup(facts: HostState) -> Iterator[HostFinding]:
    if facts.cgroup_version == 1:
        yield HostFinding(
            "Broken",
            "CgroupV1",
            "the node runs cgroup version 1, which cannot limit swap for each container",
            "boot the node with systemd.unified_cgroup_hierarchy=1",
        )


CHECK: Final = Check("cgroup", _cgroup, lambda _facts: "version 2")
