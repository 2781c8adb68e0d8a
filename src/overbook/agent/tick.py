"""One tick of the agent, as a value: collected, decided, acted, reported."""

from collections.abc import Mapping

import msgspec

from overbook.agent.metrics import TickFacts
from overbook.agent.orders import Posture
from overbook.agent.relief.local import ReliefReport
from overbook.core.kubernetes.pod import Pod
from overbook.core.overcommit.writer import Choice
from overbook.core.pressure.decision import Decision, FiredRule


class PortState(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The state of the agent's ports after they acted.

    Attributes:
        writer: the writer of swap limits; ``None``: not known yet.
        differing_limits: number of containers whose limit differs and is not the agent's to write.
        contested_limits: number of containers whose limit another program writes, too.
        reserves_hindrance: why the configured limits of QoS classes are not written; empty: they are.
        reclaim_supported: whether the kernel has ``memory.reclaim``; true until it is tried.
    """

    writer: Choice | None = None
    differing_limits: int = 0
    contested_limits: int = 0
    reserves_hindrance: str = ""
    reclaim_supported: bool = True


class AgentTick(TickFacts, frozen=True, gc=False, kw_only=True):
    """A tick. Each of its steps returns it with more in it; what a step brings has a default before.

    Collect: the sample, what is known of the pods, and what the agent may do. Decide: the rules that fire,
    and the decision. Act: the state of the ports. Then the tick is reported.

    Attributes:
        posture: what may be done.
        pods: of this node, by UID.
        relieved: what became of a guest that was asked to go, where that was seen.
        findings: the rules that hold.
        wanting: whether they have held so long that a guest has to go.
        decision: what is done about it; ``None``: nothing new.
        ports: how they stand.
    """

    posture: Posture
    pods: Mapping[str, Pod]
    relieved: ReliefReport | None = None
    findings: tuple[FiredRule, ...] = ()
    wanting: bool = False
    decision: Decision | None = None
    ports: PortState = PortState()
