"""The kubelet's own limit on all pods is reached while the node has memory: the VM that takes it leaves."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from overbook.core.pressure.ruleset import DEFAULT_RULESET
from overbook_sandbox.cluster.background import Background
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.hollow_nodes import HollowNodes
from overbook_sandbox.cluster.hollow_status import HollowNode
from overbook_sandbox.node.kubernetes_agent import KubernetesAgent
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from tests.cluster.node.cold_guests import (
    MIB,
    SLOW_SECONDS,
    Guests,
    cold_guests,
    node_status,
    overbook_running,
)
from tests.waiting import wait_for

PODS_MIB = 1000
"""What the kubelet lets all pods have together."""
HOT_MIB = 640
"""More than the cold VMs leave of the limit when they swap all that they may, but all may swap enough."""
LIMIT = "/sys/fs/cgroup/kubepods/memory.max"
EVENTS = "/sys/fs/cgroup/kubepods/memory.events"


def events(node: KubernetesNode) -> dict[str, int]:
    """Return the memory events of all pods together."""
    lines = (node.read(EVENTS)[EVENTS] or "").splitlines()
    return {name: int(count) for name, count in (line.split() for line in lines)}


@pytest.fixture
def limited(node: KubernetesNode) -> Iterator[None]:
    """The kubelet reserves memory for the system, so that its limit on all pods is far below the RAM."""
    reserved = node.samples[-1].mem_total_bytes // MIB - PODS_MIB
    # The kubelet would evict as soon as all pods together come near their limit; this is about the kernel.
    nothing_evicted = {"memory.available": "0%"}
    node.restart_kubelet(
        systemReserved={"memory": f"{reserved}Mi"},
        enforceNodeAllocatable=["pods"],
        evictionHard=nothing_evicted,
    )
    wait_for(
        lambda: int(node.read(LIMIT)[LIMIT] or 0) <= (PODS_MIB + 1) * MIB, "the limit", SLOW_SECONDS, 0.5
    )
    yield
    node.restart_kubelet(systemReserved={}, evictionHard=dict(node.spec.eviction_hard))
    most = (PODS_MIB + 1) * MIB
    wait_for(lambda: int(node.read(LIMIT)[LIMIT] or 0) > most, "the limit is as before", SLOW_SECONDS, 0.5)


@pytest.fixture
def guests(cluster: ControlPlane, node: KubernetesNode, limited: None) -> Iterator[Guests]:
    assert limited is None
    with cold_guests(cluster, node) as made:
        yield made


@pytest.fixture
def overbook(cluster: ControlPlane, node: KubernetesNode, guests: Guests) -> Iterator[KubernetesAgent]:
    """The agent has only the rules about stalls: others would find the growth before the limit is reached."""
    assert guests
    rules = [rule for rule in DEFAULT_RULESET.rules if rule.is_about_stalls]
    ruleset = msgspec.to_builtins(msgspec.structs.replace(DEFAULT_RULESET, rules=tuple(rules)))
    with overbook_running(cluster, node, ruleset=ruleset) as agent:
        yield agent


def test_the_pods_limit_is_relieved_and_the_kernel_kills_nobody(
    cluster: ControlPlane, node: KubernetesNode, guests: Guests, overbook: KubernetesAgent
) -> None:
    def status() -> dict[str, Any]:
        return node_status(guests)

    wait_for(lambda: status().get("swap", {}).get("allowedBytes"), "the agent knows its pods", SLOW_SECONDS)
    cold, before = guests.identities(), events(node)
    guests.make("hot", hot_mib=HOT_MIB)
    wait_for(lambda: "hot" in guests.pods(), "the hot guest is scheduled", SLOW_SECONDS, 0.5)
    victim = guests.pods()["hot"]["metadata"]["name"]
    elsewhere = HollowNodes(cluster.kubeconfig, [HollowNode("elsewhere", memory="8Gi")])
    with Background(elsewhere.run, "a hollow node"):
        asked = wait_for(
            lambda: status() if status().get("request") else None, "a request", SLOW_SECONDS, 0.2
        )
        available = node.samples[-1].mem_available_bytes
        wait_for(lambda: "hot" not in guests.pods(), "the hot guest goes", SLOW_SECONDS, 0.5)
        wait_for(lambda: not status().get("request"), "the request is withdrawn", SLOW_SECONDS, 0.5)
        guests.end("hot")
        wait_for(lambda: guests.count("hot") == 0, "the guest ends elsewhere", SLOW_SECONDS, 0.5)
    cluster.kubectl("delete", "node", "elsewhere")  # nobody runs pods there any more

    assert asked["request"]["candidates"][0]["name"] == victim
    assert available is not None
    # The node has some when its pods have none; how much depends on what else runs at that moment.
    assert available > node.samples[-1].mem_total_bytes // 20
    relieved = [each for each in status()["decisions"] if each["action"] == "relieve"]
    assert [each["victim"] for each in relieved] == [f"{guests.namespace}/{victim}"]
    assert "kubepods" in relieved[0]["sentence"]
    assert events(node)["max"] > before["max"]
    assert events(node)["oom_kill"] == before["oom_kill"]
    assert guests.identities() == cold
    assert overbook.said()
