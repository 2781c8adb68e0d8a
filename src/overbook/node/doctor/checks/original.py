"""The check for leftovers of wasp-agent."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState


def _original(facts: HostState) -> Iterator[HostFinding]:
    if facts.leftovers:
        paths = [f"/{path}" for path in facts.leftovers]
        yield HostFinding(
            "Risky",
            "OriginalAgentLeftovers",
            f"wasp-agent left {', '.join(paths)}: its hook gives every Burstable container all swap",
            f"rm {' '.join(paths)}",
        )


def _original_fine(_facts: HostState) -> str:
    return "no leftovers"


CHECK: Final = Check("original", _original, _original_fine)
