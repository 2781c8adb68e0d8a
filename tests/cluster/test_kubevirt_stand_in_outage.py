from overbook_sandbox.cluster.background import Background
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.hollow_nodes import HollowNodes
from overbook_sandbox.cluster.hollow_status import HollowNode
from overbook_sandbox.kubevirt.documents import INSTANCES
from overbook_sandbox.kubevirt.stand_in import KubeVirtStandIn
from tests.cluster.conftest import make_namespace
from tests.cluster.guests import machine, start
from tests.cluster.sync_client import eviction_of, get
from tests.waiting import wait_for


def test_a_migration_goes_on_after_the_api_server_was_killed(breakable_cluster: ControlPlane) -> None:
    cluster = breakable_cluster
    nodes = HollowNodes(cluster.kubeconfig, [HollowNode("one"), HollowNode("two")])
    kubevirt = KubeVirtStandIn(cluster, {"evictionStrategy": "LiveMigrate"})
    kubevirt.install()
    with Background(nodes.run, "hollow nodes"), Background(kubevirt.run, "kubevirt"):
        namespace = make_namespace(cluster)
        instance, pod = start(cluster, machine("database", migration_seconds="2"), namespace)
        assert eviction_of(cluster, pod) is not None
        cluster.kill_api_server()
        cluster.start_api_server()

        def has_moved() -> bool:
            status = get(cluster, INSTANCES, "database", namespace)["status"]
            return bool(status["nodeName"] != instance["status"]["nodeName"])

        wait_for(has_moved, "the machine is on the other node")
