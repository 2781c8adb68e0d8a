"""The heartbeat of a node's agent: a Lease in the agents' namespace with the node's name.

A Lease is small and nobody but the controller watches it, so it can be renewed often. The node's
OvercommitNode, which is ten times as large, is written only when it has changed (compare KEP-589, where the
kubelet's heartbeat left the Node for the same reason).
"""

from typing import Final

HEARTBEAT_SECONDS: Final = 20.0
"""The time between two renewals."""
MOST_STATUS_SECONDS: Final = 3600.0
"""The longest time between two writes of an OvercommitNode that an agent may be set to."""
HEARTBEAT_LABELS: Final = {
    "app.kubernetes.io/part-of": "overbook",
    "app.kubernetes.io/component": "agent",
}
"""The labels of the agents' Leases, by which they are found."""
HEARTBEAT_SELECTOR: Final = ",".join(f"{key}={value}" for key, value in HEARTBEAT_LABELS.items())
"""The label selector for all agents' Leases."""
