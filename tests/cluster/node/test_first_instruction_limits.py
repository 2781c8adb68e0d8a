"""A kubelet that gives no swap, and a runtime that asks the agent before it starts a container."""

import itertools
import json
import os
from collections.abc import Iterator
from signal import Signals
from typing import Any

import pytest

from overbook.core.kubernetes.pod import Pod
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.node.kubernetes_agent import KubernetesAgent
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from tests.cluster.as_user import MERGE, STRATEGIC, UserClient
from tests.cluster.conftest import make_namespace
from tests.cluster.installing import install
from tests.cluster.node.load_pods import LoadPods, container, container_ids, manifest, resources
from tests.waiting import wait_for

OBJECT = "/apis/overbook.dev/v1alpha1/overcommitnodes/real"
OWNERS_WISH = "/apis/overbook.dev/v1alpha1/overcommits/cluster"
NEVER = {"any": [{"all": [{"detector": "swapOccupancy", "thresholdFactor": 1.0}]}]}
SETTINGS = {"swap": {"eligibility": "Burstable"}, "ruleset": {"rules": [NEVER]}}
"""What allocates at once stalls its node for a moment; here nobody has to go for that."""
SLOW_SECONDS = 300.0
MIB = 1 << 20
REQUEST = resources(request_memory="32Mi", limit_memory="64Mi")
AT_ONCE_MIB = 76
"""Touched by the first instructions, of 64 MiB of RAM and some 21 of swap."""


class World:
    """A node whose kubelet gives no swap, its pods, and an agent on it."""

    def __init__(
        self, cluster: ControlPlane, node: KubernetesNode, agent: KubernetesAgent, namespace: str
    ) -> None:
        self.node, self.agent = node, agent
        self.pods = LoadPods(cluster, node, namespace)
        self.admin = UserClient(cluster.kubeconfig)
        self.path = f"/api/v1/namespaces/{namespace}/pods"
        self._numbers = itertools.count(1)
        self._earlier = len(agent.said()) if os.path.exists(agent.log) else 0

    def said(self) -> str:
        """The agent's log since these tests began."""
        return self.agent.said()[self._earlier :]

    def record(self, pod: Pod) -> str:
        """What the runtime remembers of its limit."""
        found = self.node.ctr("containers", "info", container_ids(pod)["main"])
        unified = json.loads(found)["Spec"]["linux"]["resources"]["unified"]
        return str(unified["memory.swap.max"])

    def start(self, burst_mib: int = AT_ONCE_MIB) -> Pod:
        """A Burstable pod that takes its memory at once, and runs."""
        name = f"guest-{next(self._numbers)}"
        return self.pods.start(manifest(name, container("main", burst_mib=burst_mib, **REQUEST)))[name]

    def swap(self) -> dict[str, Any]:
        """What the agent reports of the node's swap."""
        found = {} if self.admin.refusal("GET", OBJECT) else self.admin.ask("GET", OBJECT).get("status", {})
        swap: dict[str, Any] = found.get("swap", {})
        return swap

    def restart(self, pod: Pod) -> Pod:
        """Kill its container, and wait until the kubelet has started another."""
        before, name = self.pods.restarts(pod), pod.metadata.name or ""
        self.node.signal(self.pods.cgroup(pod), Signals.SIGKILL)
        wait_for(lambda: self.pods.restarts(pod) > before, f"{name} is started again", SLOW_SECONDS, 0.5)
        return self.pods.wait_running(name)

    def assert_had_its_limit_at_once(self, pod: Pod) -> None:
        """It holds more than RAM for it, and was never killed for want of swap."""
        wait_for(
            lambda: int(self.pods.file(pod, "memory.swap.current") or 0) > 4 * MIB,
            "what it took is in swap",
            SLOW_SECONDS,
            0.5,
        )
        assert "oom_kill 0" in self.pods.file(pod, "memory.events").splitlines()
        assert self.pods.file(pod, "memory.swap.max") == self.pods.allowance(pod)
        since = self.said().rpartition(f"{pod.metadata.name}/main starts with memory.swap.max")[2]
        assert since, "the runtime did not ask"
        assert f"{pod.metadata.name}/main: " not in since, "the agent had to correct it"

    def wait_connected(self, times: int) -> None:
        """Wait until the runtime has taken the agent in so often."""
        wait_for(
            lambda: self.said().count("calls the plugin for new containers") >= times,
            "the runtime asks the agent",
            SLOW_SECONDS,
            0.5,
        )


@pytest.fixture(scope="module")
def world(cluster: ControlPlane, node: KubernetesNode) -> Iterator[World]:
    install(cluster)
    UserClient(cluster.kubeconfig).ask("PATCH", OWNERS_WISH, {"spec": {"mode": "Enforce"}}, MERGE)
    node.restart_kubelet(memorySwap={"swapBehavior": "NoSwap"})
    agent = KubernetesAgent(cluster, node)
    agent.register()
    namespace = make_namespace(cluster)
    world = World(cluster, node, agent, namespace)
    agent.start(SETTINGS)
    try:
        world.wait_connected(1)
        yield world
    finally:
        print(world.said())  # shown where a test fails
        agent.stop()
        cluster.kubectl("delete", "pods", "--all", "--namespace", namespace)  # others count what is there
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
        node.restart_kubelet(memorySwap={"swapBehavior": "LimitedSwap"})


@pytest.fixture(scope="module")
def guest(world: World) -> Pod:
    """One that takes more at once than it may have in RAM."""
    return world.start()


def test_auto_takes_nri_and_reports_it(world: World) -> None:
    def by_nri() -> dict[str, Any] | None:
        """The status of this agent, after that of the agent before, whose kubelet gave swap itself."""
        found = world.swap()
        return found if found.get("writer") == "nri" else None

    swap = wait_for(by_nri, f"NRI is the writer\n{world.said()}", SLOW_SECONDS)
    assert "nri.sock" in swap["writerSentence"]


def test_a_container_that_allocates_at_once_can_swap(world: World, guest: Pod) -> None:
    world.assert_had_its_limit_at_once(guest)


def test_a_container_beyond_its_allowance_is_limited_from_start(world: World) -> None:
    greedy = container("main", burst_mib=3 * AT_ONCE_MIB, **REQUEST)
    world.admin.ask("POST", world.path, manifest("greedy", greedy, restartPolicy="Never"))

    def reason() -> str:
        statuses = world.pods.get("greedy")["status"].get("containerStatuses", [{"state": {}}])
        ended: dict[str, str] = statuses[0]["state"].get("terminated", {})
        return ended.get("reason", "")

    assert wait_for(reason, "it ends", SLOW_SECONDS, 0.5) == "OOMKilled"


def test_an_in_place_resize_leaves_the_limit_where_it_belongs(world: World, guest: Pod) -> None:
    name = guest.metadata.name or ""
    wanted = resources(request_memory="36Mi", limit_memory="68Mi")["resources"]
    patch = {"spec": {"containers": [{"name": "main", "resources": wanted}]}}
    world.admin.ask("PATCH", f"{world.path}/{name}/resize", patch, STRATEGIC)

    wait_for(
        lambda: world.pods.file(guest, "memory.max") == str(68 * MIB), "it is resized", SLOW_SECONDS, 0.5
    )
    resized = world.pods.wait_running(name)

    right = world.pods.allowance(resized)
    wait_for(
        lambda: world.pods.file(guest, "memory.swap.max") == right, "its limit follows", SLOW_SECONDS, 0.5
    )
    assert f"{name}/main keeps memory.swap.max" in world.said()
    assert world.pods.restarts(guest) == 0
    wait_for(lambda: world.record(guest) == right, "the runtime remembers it", SLOW_SECONDS, 0.5)


def test_the_limit_survives_a_restart_of_the_container(world: World, guest: Pod) -> None:
    world.assert_had_its_limit_at_once(world.restart(guest))


def test_the_limit_survives_a_restart_of_the_runtime(world: World, guest: Pod) -> None:
    before = world.pods.wait_running(guest.metadata.name or "")
    world.node.stop_containerd()
    world.node.start_containerd()
    world.wait_connected(2)

    assert world.pods.file(before, "memory.swap.max") == world.pods.allowance(before)
    world.assert_had_its_limit_at_once(world.start())


def test_a_container_started_without_the_agent_is_limited_later(world: World) -> None:
    guest = world.start(burst_mib=8)
    world.agent.stop(Signals.SIGKILL)
    guest = world.restart(guest)
    assert (
        world.pods.file(guest, "memory.swap.max") == "0"
    )  # the kubelet's, and no container is kept from starting

    world.agent.start(SETTINGS)

    right = world.pods.allowance(guest)
    wait_for(lambda: world.pods.file(guest, "memory.swap.max") == right, "its limit", SLOW_SECONDS, 0.5)
    world.wait_connected(3)
