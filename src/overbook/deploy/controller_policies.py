"""The admission policy that limits the controller's writes of Nodes to what it does.

RBAC knows no fields: the right to remove one taint is the right to cordon, label or taint every node of the
cluster, and the right to set one condition is the right to make every node look ready or not.
"""

from overbook.core.api.overcommit_node import PRESSURE_CONDITION, TAINT_KEY
from overbook.deploy.installation import CONTROLLER, Installation, Manifest, metadata
from overbook.deploy.policies import (
    BEFORE_AND_AFTER,
    BY_THE_API_SERVER,
    Validation,
    policy,
    unchanged_except,
)


def controller_policies(where: Installation) -> list[Manifest]:
    """The policy that the controller changes only one condition of a Node, and removes only one taint."""
    account = f"system:serviceaccount:{where.namespace}:{CONTROLLER}"
    own_taint = f"taint.key == '{TAINT_KEY}'"
    return policy(
        metadata(f"{CONTROLLER}-nodes", "controller"),
        [("", "v1", ["nodes", "nodes/status"], ["CREATE", "UPDATE"])],
        [{"name": "controller", "expression": f"request.userInfo.username == '{account}'"}],
        BEFORE_AND_AFTER,
        [
            Validation("oldObject != null", "'the controller may not create a node'"),
            Validation(
                unchanged_except("metadata", BY_THE_API_SERVER),
                "'the controller may not change labels, annotations, finalizers or owners of a node'",
            ),
            Validation(
                unchanged_except("spec", ("taints",)),
                "'the controller may change nothing in the spec of a node but one taint'",
            ),
            Validation(
                f"{_taints('has')}.filter(taint, !({own_taint}))\n"
                f"== {_taints('had')}.filter(taint, !({own_taint}))\n"
                f"&& {_taints('has')}.filter(taint, {own_taint})\n"
                f"  .all(taint, {_taints('had')}.exists(one, one == taint))",
                f"'the controller may only remove the taint {TAINT_KEY} of a node'",
            ),
            Validation(
                unchanged_except("status", ("conditions",)) + f"\n&& {_conditions('has')}\n"
                f"== {_conditions('had')}",
                f"'the controller may change nothing in the status of a node but the condition"
                f" {PRESSURE_CONDITION}'",
            ),
        ],
    )


def _taints(of: str) -> str:
    return f"variables.{of}[?'spec'][?'taints'].orValue([])"


def _conditions(of: str) -> str:
    return (
        f"variables.{of}[?'status'][?'conditions'].orValue([])"
        f".filter(condition, condition.type != '{PRESSURE_CONDITION}')"
    )
