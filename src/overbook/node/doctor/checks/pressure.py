"""The check of pressure stall information (PSI): whether the kernel reports stalls of node and cgroups."""

from collections.abc import Iterator
from typing import Final

from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState


def _pressure(facts: HostState) -> Iterator[HostFinding]:
    kernel = facts.kernel
    if facts.pressure is False:
        if kernel is not None and "CONFIG_PSI" in kernel.not_built:
            why, fix = "is built without PSI", "boot a kernel with CONFIG_PSI=y"
        elif kernel is not None and "psi=1" in kernel.boot_arguments:
            why, fix = "has no PSI although it was booted with psi=1", "boot a kernel with CONFIG_PSI=y"
        else:
            why, fix = "has PSI switched off", "boot the node with psi=1"
        yield HostFinding("Risky", "NoPressure", f"the kernel {why}, so the stall rule can never fire", fix)
    elif facts.pressure and kernel is not None and kernel.stalls_missing_in is not None:
        path = kernel.stalls_missing_in
        yield HostFinding(
            "Risky",
            "NoCgroupPressure",
            f"{path} has no memory.pressure: it is not known which pods stall, so the rules about "
            "stalls within "
            "covered memory cannot fire",
            f"find {CGROUP_MOUNT}/{path.split('/')[0]} -name cgroup.pressure "
            "-exec sh -c 'echo 1 > $0' {} \\;"
            if kernel.stalls_switched_off
            else "boot the node without cgroup_disable=pressure",
        )


CHECK: Final = Check("pressure", _pressure, lambda _facts: "the kernel reports stalls (PSI)")
