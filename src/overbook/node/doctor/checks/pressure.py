"""The check of pressure stall information (PSI): whether the kernel reports stalls."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState


def _pressure(facts: HostState) -> Iterator[HostFinding]:
    if facts.pressure is False:
        yield HostFinding(
            "Risky",
            "NoPressure",
            "the kernel has PSI switched off, so the stall rule can never fire",
            "boot the node with psi=1",
        )


CHECK: Final = Check("pressure", _pressure, lambda _facts: "the kernel reports stalls (PSI)")
