"""The tests of this folder share a real Kubernetes node and its control plane."""

from collections.abc import Iterator

import pytest

from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.machine.spec import HOST_ADDRESS
from overbook_sandbox.node import kubernetes_node
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from overbook_sandbox.node.node_configuration import KubernetesNodeSpec
from tests.cluster.conftest import started
from tests.part_times import PartTimes
from tests.sandbox_parts import made


@pytest.fixture(scope="package")
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """The emulated node reaches this cluster; pods of other tests would be scheduled to the node."""
    yield from started(request, tmp_path_factory.mktemp("node-cluster"), addresses=(HOST_ADDRESS,))


@pytest.fixture(scope="package")
def node(
    request: pytest.FixtureRequest, cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KubernetesNode]:
    """The node `real` has swap limited by the kubelet. Leave the node as you found it."""
    parts = made(kubernetes_node.prepare)
    spec = KubernetesNodeSpec(name="real")
    with KubernetesNode(cluster, spec, parts, str(tmp_path_factory.mktemp("node"))) as node:
        times = request.config.pluginmanager.get_plugin("overbook-part-times")
        if isinstance(times, PartTimes):
            times.add("booting a Kubernetes node", node.ready_seconds)
        yield node
