"""One tick of the agent, as a value: collected, decided, acted, reported."""

from collections.abc import Mapping

import msgspec

from overbook.agent.misplaced import MisplacedPod
from overbook.agent.orders import Posture
from overbook.agent.relief.local import ReliefReport
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.overcommit.facts import PodFacts
from overbook.core.overcommit.swap import SwapDecision
from overbook.core.overcommit.writer import Choice
from overbook.core.pressure.decision import Decision, FiredRule
from overbook.core.pressure.domain import ShortageDomain
from overbook.core.pressure.model import NodeModel
from overbook.core.pressure.sample import Sample


class PortState(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The state of the agent's ports after they acted.

    Attributes:
        writer: the writer of swap limits; ``None``: not known yet.
        differing_limits: number of containers whose limit differs and is not the agent's to write.
        contested_limits: number of containers whose limit another program writes, too.
        reserves_hindrance: why the configured limits of QoS classes are not written; empty: they are.
        reclaim_supported: whether the kernel has ``memory.reclaim``; true until it is tried.
        uncounted_swap: number of containers whose swap the kernel does not count.
        uncounted_memory: number of containers whose memory the kernel does not count.
    """

    writer: Choice | None = None
    differing_limits: int = 0
    contested_limits: int = 0
    reserves_hindrance: str = ""
    reclaim_supported: bool = True
    uncounted_swap: int = 0
    uncounted_memory: int = 0


class AgentTick(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The value of one tick. Each step returns it with more fields set; until then a field has its default.

    Collect: the sample, what is known of the pods, and what the agent may do. Decide: the rules that fire,
    and the decision. Act: the state of the ports. Then the tick is reported.

    Attributes:
        node: the node's model.
        sample: the sample.
        facts: facts about the pods, by UID.
        allowances: the allowances, by pod UID and container name.
        relief_active: whether a relief is under way.
        posture: what the agent may do.
        pods: this node's pods, by UID.
        relieved: the report of a relief that ended in this tick.
        findings: the rules that fire.
        wanting: whether they have fired for so long that a pod has to leave.
        decision: the decision; ``None``: nothing new.
        ports: the state of the ports.
        offloaded_bytes: the RAM that offload has bought.
        offloadable_bytes: the memory that offload would swap out now; ``None``: it does so, or is off.
        misplaced: the running pods that have no container cgroup.
        domain: the domain that was decided about, else the tightest one; ``None``: not known yet.
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
    offloaded_bytes: int = 0
    offloadable_bytes: int | None = None
    misplaced: tuple[MisplacedPod, ...] = ()
    domain: ShortageDomain | None = None

    @property
    def swap_allowed_bytes(self) -> int:
        """The sum of all allowances."""
        return sum(decision.swap_max_bytes for decision in self.allowances.values())
