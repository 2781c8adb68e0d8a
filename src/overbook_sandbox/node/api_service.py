"""The API server at its service's address in an emulated node, as kube-proxy would have it.

Pods with a network of their own are told that address. It is made one of the node's, and a program there
passes on what comes in.
"""

import sys
from typing import Final

from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.control_plane_arguments import API_SERVICE_ADDRESS
from overbook_sandbox.machine.spec import HOST_ADDRESS
from overbook_sandbox.node.kubernetes_node import KubernetesNode

SERVICE: Final = "api-service"
"""The node's service that does it; where it is stopped, pods do not reach the API server."""

_PORT: Final = 443
_FORWARDER: Final = "overbook_sandbox.node.forwarder"
_BUSYBOX: Final = "/run/overbook/busybox"


def start(cluster: ControlPlane, node: KubernetesNode) -> None:
    """Have pods on a node reach its API server; again, after it was stopped."""
    node.run(_BUSYBOX, "ip", "address", "replace", f"{API_SERVICE_ADDRESS}/32", "dev", "lo")
    between = (API_SERVICE_ADDRESS, _PORT, HOST_ADDRESS, cluster.port)
    node.start_service(SERVICE, [sys.executable, "-m", _FORWARDER, *map(str, between)])


def stop(node: KubernetesNode) -> None:
    """Keep pods from it."""
    node.stop_service(SERVICE)
