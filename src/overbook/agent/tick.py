"""One tick of the agent, as a value: collected, decided, acted, reported."""

from collections.abc import Mapping

import msgspec

from overbook.agent.orders import Posture
from overbook.agent.relief.local import ReliefReport
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.overcommit.facts import PodFacts
from overbook.core.overcommit.swap import SwapDecision
from overbook.core.overcommit.writer import Choice
from overbook.core.pressure.decision import Decision, FiredRule
from overbook.core.pressure.model import NodeModel
from overbook.core.pressure.sample import Sample


class PortState(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How the agent's ports stand after they acted.

    Attributes:
        writer: who writes swap limits; ``None``: not known yet.
        differing_limits: containers whose limit is not what it should be, and is not the agent's to write.
        contested_limits: containers whose limit something else writes, too.
        reserves_hindrance: why the QoS classes are left alone although they are to be kept.
        reclaim_supported: whether the kernel reclaims on request, as far as it was tried.
    """

    writer: Choice | None = None
    differing_limits: int = 0
    contested_limits: int = 0
    reserves_hindrance: str = ""
    reclaim_supported: bool = True


class AgentTick(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A tick. Each of its steps returns it with more in it; what a step brings has a default before.

    Collected: what was read, what is known of the pods, and what may be done. Decided: the rules that hold
    and what follows. Acted: how the node's ports stand now. Then it is reported.

    Attributes:
        node: the node's model.
        sample: what was read.
        facts: what is known of the pods, by UID.
        allowances: what each container may swap.
        relief_active: whether a pod is leaving.
        posture: what may be done.
        pods: of this node, by UID.
        relieved: what became of a guest that was asked to go, where that was seen.
        findings: the rules that hold.
        wanting: whether they have held so long that a guest has to go.
        decision: what is done about it; ``None``: nothing new.
        ports: how they stand.
    """

    node: NodeModel
    sample: Sample
    facts: Mapping[str, PodFacts]
    allowances: Mapping[tuple[str, str], SwapDecision]
    relief_active: bool
    posture: Posture
    pods: Mapping[str, ResolvedPod]
    relieved: ReliefReport | None = None
    findings: tuple[FiredRule, ...] = ()
    wanting: bool = False
    decision: Decision | None = None
    ports: PortState = PortState()

    @property
    def swap_allowed_bytes(self) -> int:
        """The sum of all allowances."""
        return sum(decision.swap_max_bytes for decision in self.allowances.values())
