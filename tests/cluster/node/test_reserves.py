"""The agent limits QoS classes as a kubelet does that has its own feature gate on."""

from collections.abc import Iterator
from typing import Any

import pytest

from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubernetes.reserve import class_requests, qos_reserve
from overbook.core.kubernetes.resolved import resolve
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.node.kubernetes_agent import KubernetesAgent
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from tests.cluster.as_user import UserClient
from tests.cluster.conftest import make_namespace
from tests.cluster.installing import install
from tests.cluster.node.load_pods import LoadPods, container, manifest, resources
from tests.waiting import wait_for

SLOW_SECONDS = 300.0
PAGE = 4096
CLASSES = tuple(f"/sys/fs/cgroup/kubepods/{name}/memory.max" for name in ("burstable", "besteffort"))
SYSTEM_BYTES = 100_000_000
"""Not in whole pages: it shows who rounds, and when."""
SETTINGS = {"swap": {"eligibility": "Burstable"}, "onExit": "Restore"}

MANIFESTS = (
    manifest("paid", container("main", hot_mib=2, **resources(limit_memory="64Mi", limit_cpu="100m"))),
    manifest("web", container("main", hot_mib=2, **resources(request_memory="48Mi"))),
    manifest(
        "critical",
        container("main", hot_mib=2, **resources(request_memory="33333333")),
        priorityClassName="system-node-critical",
    ),
    manifest("best-effort", container("main", hot_mib=2)),
)


class World:
    """A node has pods of all classes, and an agent."""

    def __init__(self, cluster: ControlPlane, node: KubernetesNode) -> None:
        self.node = node
        self.agent = KubernetesAgent(cluster, node)
        self.system_bytes = 0
        self._admin = UserClient(cluster.kubeconfig)

    def limits(self) -> list[str]:
        """Read ``memory.max`` of Burstable and of BestEffort pods."""
        found = self.node.read(*CLASSES)
        return [(found[path] or "").strip() for path in CLASSES]

    def expected(self, percent: int) -> list[str]:
        """Return core's limits for the pods that are there now."""
        path = f"/api/v1/pods?fieldSelector=spec.nodeName={self.node.spec.name}"
        pods: list[dict[str, Any]] = self._admin.ask("GET", path)["items"]
        asked = class_requests([resolve(convert(pod, Pod, "pod")) for pod in pods])
        assert asked.guaranteed_bytes
        assert asked.burstable_bytes
        enforced = self.node.samples[-1].mem_total_bytes - self.system_bytes
        kept = qos_reserve(enforced, asked.guaranteed_bytes, asked.burstable_bytes, percent)
        return [str(limit // PAGE * PAGE) for limit in (kept.burstable_max_bytes, kept.best_effort_max_bytes)]

    def wait_limits(self, percent: int) -> list[str]:
        """Wait until the limits are core's."""

        def reached() -> list[str] | None:
            found = self.limits()
            return found if found == self.expected(percent) else None

        said = f"{self.limits()} become {self.expected(percent)}"
        return wait_for(reached, said, SLOW_SECONDS, 1.0)


@pytest.fixture(scope="module")
def world(cluster: ControlPlane, node: KubernetesNode) -> Iterator[World]:
    install(cluster)
    path = "/apis/overbook.dev/v1alpha1/overcommits/cluster"
    UserClient(cluster.kubeconfig).ask(
        "PATCH", path, {"spec": {"mode": "Enforce"}}, "application/merge-patch+json"
    )
    namespace = make_namespace(cluster)
    world = World(cluster, node)
    LoadPods(cluster, node, namespace).start(*MANIFESTS)
    world.agent.register()
    yield world
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def gated(world: World) -> Iterator[World]:
    """The kubelet reserves for QoS classes itself, and reserves memory for the system as well."""
    world.node.restart_kubelet(
        systemReserved={"memory": str(SYSTEM_BYTES)},
        featureGates={"QOSReserved": True},
        qosReserved={"memory": "50%"},
    )
    world.system_bytes = SYSTEM_BYTES
    yield world
    world.node.restart_kubelet(systemReserved={}, featureGates={}, qosReserved={})
    for path in CLASSES:
        world.node.run("sh", "-c", 'echo max > "$1"', "sh", path)


def test_agent_writes_cores_limits_and_restores_the_old_ones(world: World) -> None:
    assert world.limits() == ["max", "max"]
    world.agent.start({**SETTINGS, "reserves": {"qosReservedMemoryPercent": 50}})
    try:
        world.wait_limits(50)
    finally:
        print(world.agent.said())  # shown where it fails
        world.agent.stop()
    assert world.limits() == ["max", "max"]


def test_a_kubelet_with_its_gate_on_writes_cores_limits(gated: World) -> None:
    gated.wait_limits(50)


def test_the_agent_leaves_qos_reserved_to_such_a_kubelet(gated: World) -> None:
    gated.agent.start({**SETTINGS, "reserves": {"qosReservedMemoryPercent": 100}})
    try:
        said = "left alone: the kubelet keeps 50 % for higher QoS classes itself"
        wait_for(lambda: said in gated.agent.said(), said, SLOW_SECONDS, 0.5)
        gated.wait_limits(50)
    finally:
        print(gated.agent.said())  # shown where it fails
        gated.agent.stop()
    assert gated.limits() == gated.expected(50)
