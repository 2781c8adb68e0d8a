"""The controller's Deployment runs as shipped; its two replicas need two nodes, so one of them runs."""

from collections.abc import Iterator
from typing import Final

import pytest

from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from tests.cluster.shipped.part import SLOW_SECONDS, Shipped
from tests.waiting import wait_for

LEASE: Final = "/apis/coordination.k8s.io/v1/namespaces/overbook/leases/overbook-controller"
MIB: Final = 1 << 20


@pytest.fixture(scope="module")
def controller(
    cluster: ControlPlane, node: KubernetesNode, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shipped]:
    """The controller is installed, and its pod is ready."""
    shipped = Shipped(cluster, node, "controller")
    with shipped.running(tmp_path_factory.mktemp("controller")):
        yield shipped


def leader(controller: Shipped) -> str:
    lease = {} if controller.admin.refusal("GET", LEASE) else controller.admin.ask("GET", LEASE)
    return str(lease.get("spec", {}).get("holderIdentity", ""))


def test_controller_is_ready_by_its_own_probes_and_leads(controller: Shipped) -> None:
    name = controller.pod()["metadata"]["name"]
    wait_for(lambda: leader(controller) == name, "it leads", SLOW_SECONDS, 0.5)
    assert controller.ready()


def test_controller_has_no_node_rights_and_a_private_token(controller: Shipped) -> None:
    controller.assert_unprivileged()


def test_controller_is_small(controller: Shipped) -> None:
    assert int(controller.cgroup("memory.current")) < int(controller.cgroup("memory.max")) == 192 * MIB
    assert "oom_kill 0" in controller.cgroup("memory.events").splitlines()


def test_the_controllers_log_holds_no_warning(controller: Shipped) -> None:
    loud = [line for line in controller.said().splitlines() if "INFO" not in line]
    assert not loud


def test_controller_without_its_deployment_leads_no_more(controller: Shipped) -> None:
    name = controller.pod()["metadata"]["name"]
    controller.assert_ends_in_time()
    assert leader(controller) != name
