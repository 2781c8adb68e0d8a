"""The check of cgroups: their version, and whether the kernel counts and limits memory and swap in them."""

from collections.abc import Iterator, Mapping
from typing import Final

from overbook.kernel.capabilities import KernelCapabilities, MemoryController
from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState

ENABLE_MEMORY: Final = "boot the node with cgroup_enable=memory, and without cgroup_disable=memory"
COUNT_SWAP: Final = "boot the node with swapaccount=1"
_WHY: Final[Mapping[MemoryController, tuple[str, str]]] = {
    "Disabled": ("it is switched off at boot", ENABLE_MEMORY),
    "NotBuilt": ("the kernel is built without CONFIG_MEMCG", "boot a kernel with CONFIG_MEMCG=y"),
    "Version1": (
        "a cgroup version 1 hierarchy has it",
        "boot the node with systemd.unified_cgroup_hierarchy=1 and cgroup_no_v1=memory",
    ),
    "NotDelegated": (
        "the kernel has it, and the cgroup above this node's root does not give it",
        (
            "on the machine that runs this node as a container, add +memory to cgroup.subtree_control of the "
            "cgroup above the container's, or Delegate=yes to its unit"
        ),
    ),
    "NotKnown": ("no memory in cgroup.controllers", ENABLE_MEMORY),
}


def _cgroup(facts: HostState) -> Iterator[HostFinding]:
    if facts.cgroup_version == 1:
        yield HostFinding(
            "Broken",
            "CgroupV1",
            "the node runs cgroup version 1, which cannot limit swap for each container",
            "boot the node with systemd.unified_cgroup_hierarchy=1",
        )
    if facts.kernel is not None:
        yield from _memory(facts.kernel)


def _memory(kernel: KernelCapabilities) -> Iterator[HostFinding]:
    if kernel.memory_controller != "Enabled":
        why, fix = _WHY[kernel.memory_controller]
        yield HostFinding(
            "Broken",
            "MemoryNotCounted",
            f"this node has no memory controller ({why}): the kernel neither counts nor limits the "
            "memory and "
            "swap of a container",
            fix,
        )
    elif kernel.memory_ends_at is not None:
        yield HostFinding(
            "Broken",
            "MemoryNotCounted",
            f"{kernel.memory_ends_at or 'the root cgroup'} does not enable the memory controller for "
            "the cgroups "
            "below it: the kernel neither counts nor limits memory and swap there",
            _enable_below(kernel.memory_ends_at),
        )
    elif kernel.swap_counted is False:
        yield HostFinding("Broken", "SwapNotCounted", *_swap_not_counted(kernel))


def _enable_below(path: str) -> str:
    """The command that enables it in a cgroup and those below; the kernel refuses where processes are."""
    in_root, below = "", f"{CGROUP_MOUNT}/{path}"
    if not path:
        in_root = f"echo +memory > {CGROUP_MOUNT}/cgroup.subtree_control && "
        below = f"{CGROUP_MOUNT} -path '{CGROUP_MOUNT}/kube*'"
    # By directories: these are found before those in them, which files are not.
    write = "-exec sh -c 'echo +memory > $0/cgroup.subtree_control' {} \\; 2>/dev/null"
    return f"{in_root}find {below} -type d {write}"


def _swap_not_counted(kernel: KernelCapabilities) -> tuple[str, str]:
    sentence = (
        "this kernel does not count swap for each cgroup (no memory.swap.max): no limit of swap can be kept"
    )
    if "CONFIG_SWAP" in kernel.not_built:
        return f"{sentence}, and it is built without CONFIG_SWAP", "boot a kernel with CONFIG_SWAP=y"
    if off := next(
        (word for word in kernel.boot_arguments if word in {"swapaccount=0", "swapaccount=off"}), ""
    ):
        return f"{sentence}; it was booted with {off}", f"{COUNT_SWAP}, and without {off}"
    if "swapaccount=1" in kernel.boot_arguments:
        return (
            f"{sentence}, although it was booted with swapaccount=1",
            "boot a kernel with CONFIG_MEMCG_SWAP=y",
        )
    return sentence, COUNT_SWAP


def _cgroup_fine(facts: HostState) -> str:
    kernel = facts.kernel
    if kernel is None or not kernel.swap_counted:
        return "version 2"
    return "version 2; memory and swap are counted for each cgroup"


CHECK: Final = Check("cgroup", _cgroup, _cgroup_fine)
