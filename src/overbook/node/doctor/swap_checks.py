"""What the doctor asks about swap itself: what it is on, who made it, who gives it out, who else owns it."""

from collections.abc import Iterator
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.overcommit.writer import Choice, WriterInputs, choose_writer
from overbook.core.text import shown
from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState, SwapDevice

APPLY: Final = "overbook node swap apply"
READY: Final = "Ready"
NOTHING_WANTED: Final = "NothingWanted"
UNDER_WAY: Final = frozenset({"Making", "TurningOn"})
"""What the swap program writes down where all went well, and while it works; anything else is a failure."""


def writer_choice(facts: HostState) -> Choice:
    """Who writes the swap limits on this node, and why.

    Raises:
        InvalidInput: settings exclude each other.
    """
    there = WriterInputs(
        kubelet=facts.kubelet.swap if facts.kubelet else None,
        kubelet_limits=facts.kubelet_limits,
        nri_socket=facts.nri_socket,
        hook_folder=facts.hook_folder if facts.hook_folder in facts.hook_folders_read else "",
    )
    return choose_writer(facts.writer_asked, there, facts.eligibility, facts.allowance)


def _provisioning(facts: HostState) -> Iterator[HostFinding]:
    word, sentence = facts.provisioning or (READY, "")
    if word in UNDER_WAY:
        yield HostFinding(
            "Note", "SwapUnderWay", sentence, "wait; where it stays so: overbook node swap status"
        )
    elif word not in {READY, NOTHING_WANTED}:
        yield HostFinding(
            "Broken", "SwapNotProvisioned", f"swap was not provisioned ({word}): {sentence}", APPLY
        )


def _provisioning_fine(facts: HostState) -> str:
    return "swap is on as it was asked for" if facts.provisioning and facts.provisioning[0] == READY else ""


def _swap(facts: HostState) -> Iterator[HostFinding]:
    if not facts.swap_suffices:
        yield _too_small(facts)
    for area in facts.swap:
        yield from _area(area)


def _too_small(facts: HostState) -> HostFinding:
    demands = f"{facts.percent} % demands {shown(facts.demanded_bytes)}"
    apply = f"{APPLY} --percent {facts.percent}"
    if facts.swap_bytes == 0:
        return HostFinding("Broken", "NoSwap", f"swap is off; {demands}", apply)
    return HostFinding("Risky", "SwapTooSmall", f"swap has {shown(facts.swap_bytes)}; {demands}", apply)


def _area(area: SwapDevice) -> Iterator[HostFinding]:
    place = _place(area)
    if area.medium == "network":
        yield HostFinding(
            "Risky",
            "SwapOverNetwork",
            f"swap on {place} goes over the network, which needs memory to send: the node can hang",
            f"swapoff {area.path} && {APPLY}",
        )
    elif area.medium == "heads":
        yield HostFinding(
            "Risky",
            "SlowSwap",
            f"swap on {place} is on a disk with heads: a node that swaps there stands still",
            "use an NVMe or solid-state disk",
        )
    elif area.medium == "loop":
        yield HostFinding(
            "Risky",
            "LoopSwap",
            f"swap on {place} is a loop device, whose file system needs memory to write: the node can hang",
            f"swapoff {area.path} && {APPLY}",
        )
    elif area.medium == "zram":
        yield HostFinding(
            "Note",
            "CompressedSwap",
            f"swap on {place} is zram, which keeps what it holds in RAM, compressed to a third or a half",
            "count that as used, or overbook node swap apply --kind file",
        )


def _place(area: SwapDevice) -> str:
    return f"{area.path} ({area.lies_on})" if area.lies_on not in {"", area.path} else area.path


def _swap_fine(facts: HostState) -> str:
    if not facts.swap:
        return f"off; {facts.percent} % demands none"
    media = {"flash": "no moving parts", "virtual": "a virtual disk: what that lies on, its host knows"}
    areas = "; ".join(f"{_place(area)}, {media.get(area.medium, area.medium)}" for area in facts.swap)
    return f"{shown(facts.swap_bytes)} on; {facts.percent} % demands {shown(facts.demanded_bytes)}: {areas}"


def _writer(facts: HostState) -> Iterator[HostFinding]:
    try:
        choice = writer_choice(facts)
    except InvalidInput as error:
        if error.where == "eligibility":
            yield HostFinding(
                "Broken",
                "KubeletGivesSwapToAll",
                "the kubelet runs with LimitedSwap, which gives swap to every Burstable pod, and eligibility "
                f"is {facts.eligibility}",
                "set memorySwap.swapBehavior: NoSwap for the kubelet, or eligibility: Burstable",
            )
        else:
            sentence = f"settings exclude each other: {error.where} is {error.value}"
            yield HostFinding("Broken", "SettingsExclude", sentence, f"use {error.expected}")
        return
    late = choice.writer == "reconcile" and facts.writer_asked == "auto"
    if late and facts.hook_folders_read and not facts.hook_folder:
        yield HostFinding(
            "Note",
            "HookNotInstalled",
            f"the runtime reads OCI hooks in {facts.hook_folders_read[0]}: one there would set limits before "
            "a container's first instruction, and now they come after it",
            "overbook node hook install",
        )


def _writer_fine(facts: HostState) -> str:
    choice = writer_choice(facts)
    return f"{choice.writer} writes the swap limits: {choice.sentence}"


def _hook(facts: HostState) -> Iterator[HostFinding]:
    if facts.hook_folder and facts.hook_folder not in facts.hook_folders_read:
        read = ", ".join(facts.hook_folders_read) or "none"
        yield HostFinding(
            "Broken",
            "HookNotRead",
            f"the hook lies in {facts.hook_folder}, which the runtime does not read (it reads {read})",
            "overbook node hook install",
        )


def _hook_fine(facts: HostState) -> str:
    return f"installed in {facts.hook_folder}, which the runtime reads" if facts.hook_folder else ""


def _original(facts: HostState) -> Iterator[HostFinding]:
    if facts.leftovers:
        paths = [f"/{path}" for path in facts.leftovers]
        yield HostFinding(
            "Risky",
            "OriginalAgentLeftovers",
            f"the original agent left {', '.join(paths)}: its hook gives every Burstable container all swap",
            f"rm {' '.join(paths)}",
        )


def _original_fine(_facts: HostState) -> str:
    return "nothing is left of it"


def _owners(facts: HostState) -> Iterator[HostFinding]:
    yield from (
        HostFinding("Risky", "OtherOwner", f"{owner} manages swap here, too", "leave swap to one of the two")
        for owner in facts.owners
    )
    if facts.boot_swap and facts.provisioning is not None:
        yield HostFinding(
            "Risky",
            "OtherSwapAtBoot",
            f"{', '.join(facts.boot_swap)} turns swap on at boot, beside overbook-swap.service",
            "take it out there, or overbook node swap remove",
        )
    if facts.nri_plugins or facts.nri_connections > 1:
        plugins = f"the runtime starts {', '.join(facts.nri_plugins)}" if facts.nri_plugins else ""
        connections = f"{facts.nri_connections} programs speak NRI" if facts.nri_connections > 1 else ""
        yield HostFinding(
            "Note",
            "OtherNriPlugin",
            f"{' and '.join(filter(None, (plugins, connections)))}: whether one of them writes swap limits, "
            "too, does not show from outside",
            "look at what each of them does; Overbook stands back where another owns memory.swap.max",
        )


def _owners_fine(facts: HostState) -> str:
    others = f"; {', '.join(facts.boot_swap)} turns swap on at boot" if facts.boot_swap else ""
    return f"no other program manages swap{others}"


SWAP_CHECKS: Final = (
    Check("provisioning", _provisioning, _provisioning_fine),
    Check("swap", _swap, _swap_fine),
    Check("writer", _writer, _writer_fine),
    Check("hook", _hook, _hook_fine),
    Check("original", _original, _original_fine),
    Check("owners", _owners, _owners_fine),
)
