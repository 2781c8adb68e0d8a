"""API Priority and Fairness for Overbook: what decides about pods never queues behind what thousands report.

Without it all parts share ``workload-low`` with every other service account. The agents' writes, most of all
when many nodes are under pressure or an API server comes back, would then delay the controller's lease and
evictions, and the lease would be lost when the controller is needed. Source: KEP-1040.
"""

from typing import Any, Final

from overbook.deploy.installation import AGENT, CONTROLLER, Component, Installation, Manifest, metadata

_GROUP: Final = "flowcontrol.apiserver.k8s.io"
_VERSION: Final = f"{_GROUP}/v1"
LEADER_ELECTION: Final = "leader-election"
WORKLOAD_HIGH: Final = "workload-high"
"""Levels that every cluster has."""
_SHARES: Final = 20
"""Of 245 in a cluster with the levels that Kubernetes brings."""
_QUEUED: Final = 500


def flow_control(where: Installation) -> list[Manifest]:
    """The agents' priority level, and the flow schemas of agents and controller."""
    lease: Manifest = {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "create", "update"],
        "namespaces": [where.namespace],
    }
    everything: Manifest = {
        "apiGroups": ["*"],
        "resources": ["*"],
        "verbs": ["*"],
        "clusterScope": True,
        "namespaces": ["*"],
    }
    return [
        _agents_level(),
        # Before `service-accounts` (9000). The lease comes first: schemas are tried in this order.
        _schema("controller", f"{CONTROLLER}-lease", LEADER_ELECTION, 800, CONTROLLER, where, lease),
        _schema("controller", CONTROLLER, WORKLOAD_HIGH, 900, CONTROLLER, where, everything),
        _schema("agent", AGENT, AGENT, 1000, AGENT, where, everything),
    ]


def _agents_level() -> Manifest:
    return {
        "apiVersion": _VERSION,
        "kind": "PriorityLevelConfiguration",
        "metadata": metadata(AGENT, "agent"),
        "spec": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": _SHARES,
                # What the agents do not use is for others, and they borrow little: they can wait.
                "lendablePercent": 75,
                "borrowingLimitPercent": 100,
                "limitResponse": {
                    "type": "Queue",
                    # All agents have one account, so they are one flow.
                    "queuing": {"queues": 1, "handSize": 1, "queueLengthLimit": _QUEUED},
                },
            },
        },
    }


def _schema(
    component: Component,
    name: str,
    level: str,
    precedence: int,
    account: str,
    where: Installation,
    rule: dict[str, Any],
) -> Manifest:
    subject = {
        "kind": "ServiceAccount",
        "serviceAccount": {"name": account, "namespace": where.namespace_of(component)},
    }
    return {
        "apiVersion": _VERSION,
        "kind": "FlowSchema",
        "metadata": metadata(name, component),
        "spec": {
            "priorityLevelConfiguration": {"name": level},
            "matchingPrecedence": precedence,
            "rules": [{"subjects": [subject], "resourceRules": [rule]}],
        },
    }
