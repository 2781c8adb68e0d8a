"""The API server's service address in an emulated node, which kube-proxy would provide.

Pods with their own network use that address. It becomes an address of the node, and a program there forwards
the connections.
"""

import sys
from typing import Final

from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.control_plane_arguments import API_SERVICE_ADDRESS
from overbook_sandbox.machine.spec import HOST_ADDRESS
from overbook_sandbox.node.kubernetes_node import KubernetesNode

SERVICE: Final = "api-service"
"""The node's service that forwards connections; without it pods cannot reach the API server."""

_PORT: Final = 443
_FORWARDER: Final = "overbook_sandbox.node.forwarder"
_BUSYBOX: Final = "/run/overbook/busybox"


def start(cluster: ControlPlane, node: KubernetesNode) -> None:
    """Make the API server reachable for pods on a node, also again after `stop`."""
    node.run(_BUSYBOX, "ip", "address", "replace", f"{API_SERVICE_ADDRESS}/32", "dev", "lo")
    between = (API_SERVICE_ADDRESS, _PORT, HOST_ADDRESS, cluster.port)
    node.start_service(SERVICE, [sys.executable, "-m", _FORWARDER, *map(str, between)])


def stop(node: KubernetesNode) -> None:
    """Make the API server unreachable for pods on a node."""
    node.stop_service(SERVICE)
