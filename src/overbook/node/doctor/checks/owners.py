"""The check for other programs that manage swap here, or may write swap limits."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState

_LOOKED: Final = "fstab, units, cron and boot scripts, and the files of known programs"


def _owners(facts: HostState) -> Iterator[HostFinding]:
    made_here = not facts.is_left_to_others  # with the kind `existing`, another program is to make swap
    if made_here:
        yield from (
            HostFinding(
                "Risky", "OtherOwner", f"{owner} also manages swap here", "let only one program manage swap"
            )
            for owner in facts.owners
        )
    if facts.masked_swap:
        yield HostFinding(
            "Risky",
            "SwapTargetMasked",
            f"swap.target is masked, as kubespray does: {', '.join(facts.masked_swap)} is not turned on at "
            "the next boot; Overbook's units do not need it",
            "unmask it (systemctl unmask swap.target), or remove these entries",
        )
    if made_here and facts.boot_swap and facts.provisioning is not None:
        yield HostFinding(
            "Risky",
            "OtherSwapAtBoot",
            f"{', '.join(facts.boot_swap)} turns on swap at boot, in addition to overbook-swap.service",
            "remove that entry, or run overbook node swap remove",
        )
    # Without a path in the sentence of the swap program, Overbook's areas cannot be told from others.
    if made_here and facts.unexplained and facts.provisioning and ": /" in facts.provisioning[1]:
        yield HostFinding(
            "Risky",
            "UnexplainedSwap",
            f"swap on {', '.join(facts.unexplained)} is not Overbook's, and {_LOOKED} does not turn it on: "
            "an unknown program or a person did, and it may be gone or back after the next boot",
            "look for what turned it on (journalctl, systemctl list-units); let only one manage swap",
        )
    yield from (
        HostFinding(
            "Risky",
            "SwapTurnedOff",
            f"{path} runs swapoff: swap that was made for pods is then switched off",
            f"remove swapoff from {path}",
        )
        for path in facts.swap_off
    )
    if facts.nri_plugins or facts.nri_connections > 1:
        plugins = f"the runtime starts {', '.join(facts.nri_plugins)}" if facts.nri_plugins else ""
        connections = (
            f"{facts.nri_connections} programs are connected by NRI" if facts.nri_connections > 1 else ""
        )
        yield HostFinding(
            "Note",
            "OtherNriPlugin",
            f"{' and '.join(filter(None, (plugins, connections)))}; whether one of them "
            "also writes swap limits cannot be seen from outside",
            "check whether they change swap limits; where another plugin owns memory.swap.max, "
            "Overbook writes no limit",
        )


def _owners_fine(facts: HostState) -> str:
    if facts.is_left_to_others and facts.owners:
        return f"{', '.join(facts.owners)} manages swap here, as configured (--kind existing)"
    others = f"; {', '.join(facts.boot_swap)} turns on swap at boot" if facts.boot_swap else ""
    unknown = (
        f"; none of these explains the swap on {', '.join(facts.unexplained)}" if facts.unexplained else ""
    )
    return f"no other program that manages swap was found in {_LOOKED}{others}{unknown}"


CHECK: Final = Check("owners", _owners, _owners_fine)
