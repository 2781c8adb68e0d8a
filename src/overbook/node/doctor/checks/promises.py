"""The check of the kernel's own overcommit: which allocations it allows, and what it does out of memory."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import TUNE, Check, HostFinding
from overbook.node.doctor.facts import HostState
from overbook.node.tune.rules import KUBELET_DEMANDS, OVERCOMMIT_MEMORY, PANIC_ON_OOM


def _promises(facts: HostState) -> Iterator[HostFinding]:
    settings = {OVERCOMMIT_MEMORY: facts.overcommit_memory, PANIC_ON_OOM: facts.panic_on_oom}
    refused = [
        f"{name} is {value}"
        for name, value in settings.items()
        if value is not None and str(value) != KUBELET_DEMANDS[name]
    ]
    if refused and facts.kubelet is not None and facts.kubelet.protect_kernel_defaults:
        yield HostFinding(
            "Broken",
            "KubeletRefusesKernel",
            f"{' and '.join(refused)}: the kubelet has protectKernelDefaults: true and will fail to start at "
            "its next restart",
            f"{TUNE} --overcommit on",
        )
    if facts.overcommit_memory == 2:
        yield HostFinding(
            "Risky",
            "StrictOvercommit",
            "vm.overcommit_memory is 2: the kernel refuses allocations beyond its commit limit, so VMs "
            "cannot allocate more than that together",
            TUNE,
        )
    if facts.panic_on_oom:
        yield HostFinding(
            "Risky",
            "PanicOnOom",
            f"vm.panic_on_oom is {facts.panic_on_oom}: when memory runs out, the kernel panics instead of "
            "killing one process",
            TUNE,
        )


def _promises_fine(facts: HostState) -> str:
    if facts.overcommit_memory is None or facts.panic_on_oom is None:
        return ""
    return f"vm.overcommit_memory is {facts.overcommit_memory}, vm.panic_on_oom is {facts.panic_on_oom}"


CHECK: Final = Check("promises", _promises, _promises_fine)
