"""The check of swap that Overbook made: whether it was made and turned on."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import APPLY, Check, HostFinding
from overbook.node.doctor.facts import HostState
from overbook.node.swap_own import EXISTING

READY: Final = "Ready"
NOTHING_WANTED: Final = "NothingWanted"
UNDER_WAY: Final = frozenset({"Making", "TurningOn"})
"""The words in the swap program's state file after success and while it works; others mean a failure."""


def _provisioning(facts: HostState) -> Iterator[HostFinding]:
    if facts.switched_off:
        yield HostFinding(
            "Broken",
            "SwapSwitchedOff",
            "Overbook's swap was on, and another program or a person has switched it off since",
            APPLY,
        )
    word, sentence = facts.provisioning or (READY, "")
    if word in UNDER_WAY:
        yield HostFinding(
            "Note", "SwapUnderWay", sentence, "wait; if this does not end: overbook node swap status"
        )
    elif word not in {READY, NOTHING_WANTED} | EXISTING:  # the check of swap judges what others made
        yield HostFinding(
            "Broken", "SwapNotProvisioned", f"swap was not provisioned ({word}): {sentence}", APPLY
        )


def _provisioning_fine(facts: HostState) -> str:
    if facts.is_left_to_others:
        return "swap is left to others, as configured (--kind existing)"
    return "swap is on, as configured" if facts.provisioning and facts.provisioning[0] == READY else ""


CHECK: Final = Check("provisioning", _provisioning, _provisioning_fine)
