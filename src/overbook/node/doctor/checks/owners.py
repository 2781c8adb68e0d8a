"""The check for other programs that manage swap here, or may write swap limits."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState


def _owners(facts: HostState) -> Iterator[HostFinding]:
    yield from (
        HostFinding(
            "Risky", "OtherOwner", f"{owner} also manages swap here", "let only one program manage swap"
        )
        for owner in facts.owners
    )
    if facts.boot_swap and facts.provisioning is not None:
        yield HostFinding(
            "Risky",
            "OtherSwapAtBoot",
            f"{', '.join(facts.boot_swap)} turns on swap at boot, in addition to overbook-swap.service",
            "remove that entry, or run overbook node swap remove",
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
    others = f"; {', '.join(facts.boot_swap)} turns on swap at boot" if facts.boot_swap else ""
    return f"no other program manages swap{others}"


CHECK: Final = Check("owners", _owners, _owners_fine)
