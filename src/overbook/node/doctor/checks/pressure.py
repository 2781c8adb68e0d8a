"""Pressure stall information: whether the kernel says that work stalls."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState


def _pressure(facts: HostState) -> Iterator[HostFinding]:
    if facts.pressure is False:
        yield HostFinding(
            "Risky",
            "NoPressure",
            "the kernel reports no pressure (PSI): the rule for stalls stays silent",
            "boot it with psi=1",
        )


CHECK: Final = Check("pressure", _pressure, lambda _facts: "the kernel reports stalls (PSI)")
