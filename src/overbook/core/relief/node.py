"""What the controller keeps right on Node objects: the condition, a taint that nobody takes away any more.

And whether a node could take a guest in.
"""

from typing import Any, Final, Literal

import msgspec

from overbook.core.api.overcommit_node import PRESSURE_CONDITION, TAINT_EFFECT, TAINT_KEY, PressureStatus
from overbook.core.kubernetes.pod import KubeStruct
from overbook.core.timestamp import to_timestamp

KEEPS_AWAY: Final = frozenset({"NoSchedule", "NoExecute"})
UNUSABLE_TAINT_PREFIX: Final = "node.kubernetes.io/"
"""Taints that Kubernetes itself sets on nodes that are not ready, unreachable or short of something."""

SILENT: Final = "AgentSilent"


class NodeMeta(KubeStruct, frozen=True):
    """Of a node, without its many labels and annotations."""

    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None


class NodeTaint(KubeStruct, frozen=True):
    """One of a node's taints."""

    key: str = ""
    effect: str = ""


class PressureCondition(KubeStruct, frozen=True):
    """One of a node's conditions."""

    type: str = ""
    status: str = ""
    reason: str = ""
    last_transition_time: str | None = None


class _NodeSpec(KubeStruct, frozen=True):
    taints: tuple[NodeTaint, ...] | None = None
    unschedulable: bool | None = None


class _NodeStatus(KubeStruct, frozen=True):
    conditions: tuple[PressureCondition, ...] | None = None


class KeptNode(KubeStruct, frozen=True):
    """A node, as narrow as five thousand of them have to be."""

    metadata: NodeMeta = NodeMeta()
    spec: _NodeSpec = _NodeSpec()
    status: _NodeStatus = _NodeStatus()

    def condition(self, kind: str) -> PressureCondition | None:
        """A condition, if the node has it."""
        return next((known for known in self.status.conditions or () if known.type == kind), None)

    @property
    def is_tainted(self) -> bool:
        """Whether it has our taint."""
        return any(taint.key == TAINT_KEY for taint in self.spec.taints or ())


def could_take_a_guest(node: KeptNode, pressure: PressureStatus | None) -> bool:
    """Whether a guest might be moved to the node, as far as can be said without the scheduler.

    It is ready and schedulable, Kubernetes sees nothing wrong with it, and its own agent reports no
    pressure. Whether a guest fits and tolerates other taints the scheduler decides.
    """
    ready = node.condition("Ready")
    if ready is None or ready.status != "True" or node.spec.unschedulable:
        return False
    if pressure is not None and pressure.state != "None":
        return False
    return not any(
        taint.effect in KEEPS_AWAY and (taint.key == TAINT_KEY or taint.key.startswith(UNUSABLE_TAINT_PREFIX))
        for taint in node.spec.taints or ()
    )


class WantedCondition(msgspec.Struct, frozen=True, gc=False):
    """The node condition as it should be."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def wanted_condition(pressure: PressureStatus | None, *, stale: bool) -> WantedCondition | None:
    """What the condition should say; ``None``: no agent has ever said anything.

    Args:
        pressure: as the node's agent reported it last; ``None``: there is no report.
        stale: whether the agent has stopped reporting.
    """
    if stale:
        return WantedCondition("Unknown", SILENT, "the node's agent has stopped reporting")
    if pressure is None:
        return None
    if pressure.state == "None":
        return WantedCondition("False", "NoPressure", "no rule of the node's agent holds")
    said = pressure.sentence or pressure.rule or "a rule of the node's agent holds"
    return WantedCondition("True", pressure.state, said[:1024])


def condition_patch(node: KeptNode, wanted: WantedCondition, now: float) -> dict[str, Any] | None:
    """A strategic merge patch of the node's status; ``None`` where it says so already.

    Only status and reason count: the numbers in the message change every second, and a node's status is
    read by everybody.
    """
    known = node.condition(PRESSURE_CONDITION)
    if known is not None and (known.status, known.reason) == (wanted.status, wanted.reason):
        return None
    moment = f"{to_timestamp(now)[:19]}Z"
    unchanged = known is not None and known.status == wanted.status and known.last_transition_time
    condition = {
        "type": PRESSURE_CONDITION,
        "status": wanted.status,
        "reason": wanted.reason,
        "message": wanted.message,
        "lastHeartbeatTime": moment,
        "lastTransitionTime": known.last_transition_time if known and unchanged else moment,
    }
    return {"status": {"conditions": [condition]}}


def taint_removal(node: KeptNode) -> list[dict[str, Any]]:
    """A JSON patch that removes our taint and can remove nothing else; empty: the node does not have it.

    The API server applies the operations to the node as it is then: where another taint has taken the
    place, the test fails and nothing is changed.
    """
    for index, taint in enumerate(node.spec.taints or ()):
        if taint.key == TAINT_KEY:
            place = f"/spec/taints/{index}"
            return [
                {"op": "test", "path": f"{place}/key", "value": TAINT_KEY},
                {"op": "test", "path": f"{place}/effect", "value": taint.effect or TAINT_EFFECT},
                {"op": "remove", "path": place},
            ]
    return []
