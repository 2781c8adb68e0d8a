"""Others that manage swap here, or may write its limits."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState


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


CHECK: Final = Check("owners", _owners, _owners_fine)
