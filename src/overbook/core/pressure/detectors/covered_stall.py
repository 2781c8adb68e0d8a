"""The detector `coveredStall`: a pod that is within its covered memory stalls on memory.

This is the harm that overcommit must not do. The node's own `full` shows it only on a node whose CPUs are all
idle: on a node with busy CPUs a virtual machine can stand still while `full` is small.

Source: the kernel's ``Documentation/accounting/psi.rst``, a cgroup's ``memory.pressure``.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from overbook.core.errors import InvalidInput
from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.candidate import beyond_bytes
from overbook.core.pressure.detectors.detector import Detector, Figure, Reading
from overbook.core.pressure.detectors.ranges import check_window
from overbook.core.pressure.model import NodeModel, PodModel
from overbook.core.pressure.situation import Situation

OWN_LIMIT_SHARE: Final = 0.98
"""A container that uses this share of its memory limit stalls on its own limit, not on the node."""
LEAST_WINDOW_SHARE: Final = 0.5
"""A pod whose stall is known for a shorter share of the window is too young to be judged."""


class CoveredStall(Detector, frozen=True, kw_only=True, tag="coveredStall"):
    """A pod within its covered memory stalls on memory (PSI ``some``) for a share of the window."""

    reclaim_may_help: ClassVar = True

    some_percent: float = 30.0
    window_seconds: float = 2.0

    @property
    def window_seconds_needed(self) -> float:
        """The averaging window."""
        return self.window_seconds

    @property
    def condition(self) -> str:
        """The condition in words, as a part of a rule's name."""
        return (
            f"a pod within its covered memory stalled on memory {self.some_percent:g} % of "
            f"{self.window_seconds:g} s"
        )

    def read(self, seen: Situation) -> Reading:
        """Read the stall of each covered pod; the worst one counts."""
        stalls = self._stalls(seen)
        if not stalls:
            return Reading(False, "no stall of a covered pod is known", {})
        percent, label = max(stalls)
        harmed = sum(stall >= self.some_percent for stall, _ in stalls)
        others = f" and {harmed - 1} more" if harmed > 1 else ""
        return Reading(
            percent >= self.some_percent,
            f"{label}{others}, within covered memory, stalled on memory {percent:.0f} % of "
            f"{self.window_seconds:g} s",
            {"somePercent": percent, "harmedPods": harmed},
        )

    def figures(self, numbers: Mapping[str, float], node: NodeModel) -> Iterator[Figure]:
        """Yield the worst stall's share of the window."""
        yield Figure("somePercent", numbers["somePercent"], self.some_percent)

    def check(self) -> None:
        """Refuse a percentage that is not above 0 and up to 100, and a window outside 1 s to 1 h."""
        if not 0 < self.some_percent <= 100:
            raise InvalidInput("coveredStall.somePercent", self.some_percent, "above 0 and up to 100")
        check_window("coveredStall.windowSeconds", self.window_seconds)

    def _stalls(self, seen: Situation) -> list[tuple[float, str]]:
        found = []
        for uid, model in seen.pods_over(self.window_seconds).items():
            stall, facts = model.stall_percent, seen.facts[uid]
            if stall is None or model.seconds < LEAST_WINDOW_SHARE * self.window_seconds:
                continue
            if not beyond_bytes(facts, model) and not _at_its_own_limit(facts, model):
                found.append((stall, facts.label))
        return found


def _at_its_own_limit(facts: PodFacts, model: PodModel) -> bool:
    limits = {container.name: container.memory_limit_bytes for container in facts.containers}
    return any(
        (limit := limits.get(name)) is not None and working_set >= limit * OWN_LIMIT_SHARE
        for name, working_set, _ in model.containers
    )
