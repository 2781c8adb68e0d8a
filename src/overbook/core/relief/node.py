"""Node objects: the condition and the taint that the controller keeps right, and which nodes can take VMs.

The controller removes a taint that no agent removes any more.
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
    """The metadata of a node, without its many labels and annotations."""

    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None


class NodeTaint(KubeStruct, frozen=True):
    """One of a node's taints."""

    key: str = ""
    effect: str = ""


class PressureCondition(KubeStruct, frozen=True):
    """One of a node's conditions, with the fields that are compared."""

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
    """A node with few fields, because the controller holds every node of the cluster in memory."""

    metadata: NodeMeta = NodeMeta()
    spec: _NodeSpec = _NodeSpec()
    status: _NodeStatus = _NodeStatus()

    def condition(self, kind: str) -> PressureCondition | None:
        """Return the node's condition of this type; ``None``: the node has none."""
        return next((known for known in self.status.conditions or () if known.type == kind), None)

    @property
    def is_tainted(self) -> bool:
        """Whether the node has Overbook's taint."""
        return any(taint.key == TAINT_KEY for taint in self.spec.taints or ())


def could_take_a_vm(node: KeptNode, pressure: PressureStatus | None) -> bool:
    """Whether a VM could be moved to the node, as far as that is known without the scheduler.

    The node is ready and schedulable, Kubernetes has not tainted it, and its own agent reports no pressure.
    Whether a VM fits, and tolerates other taints, is the scheduler's decision.
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
    """Return the condition that the node should have; ``None``: it should have none.

    Args:
        pressure: the last report of the node's agent; ``None``: there is no report, because none was made or
            because it was deleted, which is how an installation is removed.
        stale: whether the agent has stopped reporting.
    """
    if pressure is None:
        return None
    if stale:
        return WantedCondition("Unknown", SILENT, "the node's agent has stopped reporting")
    if pressure.state == "None":
        return WantedCondition("False", "NoPressure", "no rule of the node's agent fires")
    message = pressure.sentence or pressure.rule or "a rule of the node's agent fires"
    return WantedCondition("True", pressure.state, message[:1024])


def condition_patch(node: KeptNode, wanted: WantedCondition | None, now: float) -> dict[str, Any] | None:
    """Return a strategic merge patch of the node's status; ``None`` if the node is as wanted already.

    Only status and reason are compared: the numbers in the message change every second, and many programs
    watch nodes.
    """
    known = node.condition(PRESSURE_CONDITION)
    if wanted is None:
        removal = {"type": PRESSURE_CONDITION, "$patch": "delete"}
        return {"status": {"conditions": [removal]}} if known is not None else None
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
    """Return a JSON patch that removes Overbook's taint and no other; empty: the node does not have it.

    The API server applies the patch to the node as it is then. If another taint has moved to that index, the
    test fails and nothing is changed.
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
