"""The check of ``vm.swappiness``: whether the kernel weighs swap against page cache."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import TUNE, Check, HostFinding
from overbook.node.doctor.facts import HostState
from overbook.node.tune.rules import SWAPPINESS_RANGE, swappiness_is_sound


def _swappiness(facts: HostState) -> Iterator[HostFinding]:
    least, most = SWAPPINESS_RANGE
    if facts.swappiness is not None and facts.swap and not swappiness_is_sound(facts.swappiness):
        yield HostFinding(
            "Risky",
            "Swappiness",
            f"vm.swappiness is {facts.swappiness}; from {least} to {most} the kernel weighs swap against "
            "page cache",
            TUNE,
        )


def _swappiness_fine(facts: HostState) -> str:
    return f"vm.swappiness is {facts.swappiness}" if facts.swappiness is not None and facts.swap else ""


CHECK: Final = Check("swappiness", _swappiness, _swappiness_fine)
