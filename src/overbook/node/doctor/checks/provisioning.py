"""What making swap and turning it on came to."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import APPLY, Check, HostFinding
from overbook.node.doctor.facts import HostState

READY: Final = "Ready"
NOTHING_WANTED: Final = "NothingWanted"
UNDER_WAY: Final = frozenset({"Making", "TurningOn"})
"""What the swap program writes down where all went well, and while it works; anything else is a failure."""


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


CHECK: Final = Check("provisioning", _provisioning, _provisioning_fine)
