"""A node with LimitedSwap has three cold VMs and one that starts hot: first alone, then with Overbook."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from overbook_sandbox.cluster.background import Background
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.hollow_nodes import HollowNodes
from overbook_sandbox.cluster.hollow_status import HollowNode
from overbook_sandbox.node.kubernetes_agent import KubernetesAgent
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from tests.cluster.node.cold_guests import (
    SLOW_SECONDS,
    Guests,
    cold_guests,
    node_status,
    overbook_running,
    stalled_percent,
    wait_samples,
)
from tests.waiting import wait_for

HOT_MIB = 760
TOO_HOT_MIB = 880
"""More than the RAM that the cold VMs leave when all that they may swap is swapped: it thrashes for good."""


@pytest.fixture(scope="module")
def guests(cluster: ControlPlane, node: KubernetesNode) -> Iterator[Guests]:
    with cold_guests(cluster, node) as made:
        yield made


def test_a_node_without_overbook_thrashes_while_the_pod_runs(node: KubernetesNode, guests: Guests) -> None:
    cold = guests.identities()
    guests.make("alone", hot_mib=TOO_HOT_MIB)
    began = wait_samples(node, lambda samples: stalled_percent(samples, 5) > 20, "the node stalls")

    wait_samples(
        node,
        lambda samples: samples[-1].at > began.at + 30 and stalled_percent(samples, 20) > 10,
        "it stalls still, half a minute later",
    )
    assert "alone" in guests.pods()
    assert guests.identities() == cold
    guests.end("alone")
    wait_for(lambda: "alone" not in guests.pods(), "the load ends", SLOW_SECONDS, 0.5)
    wait_samples(node, lambda samples: stalled_percent(samples, 5) < 1, "the node recovers")


@pytest.fixture
def overbook(cluster: ControlPlane, node: KubernetesNode) -> Iterator[KubernetesAgent]:
    with overbook_running(cluster, node) as agent:
        yield agent


def test_overbook_relieves_the_node_of_the_right_pod_in_seconds(
    cluster: ControlPlane, node: KubernetesNode, guests: Guests, overbook: KubernetesAgent
) -> None:
    def status() -> dict[str, Any]:
        return node_status(guests)

    wait_for(lambda: status().get("swap", {}).get("allowedBytes"), "the agent knows its pods", SLOW_SECONDS)
    cold = guests.identities()
    guests.make("hot", hot_mib=HOT_MIB)
    wait_for(lambda: "hot" in guests.pods(), "the hot guest is scheduled", SLOW_SECONDS, 0.5)
    victim = guests.pods()["hot"]["metadata"]["name"]
    elsewhere = HollowNodes(cluster.kubeconfig, [HollowNode("elsewhere", memory="8Gi")])
    with Background(elsewhere.run, "a hollow node"):
        asked = wait_for(
            lambda: status() if status().get("request") else None, "a request", SLOW_SECONDS, 0.2
        )
        wait_for(lambda: "hot" not in guests.pods(), "the hot guest goes", SLOW_SECONDS, 0.5)
        left = node.samples[-1]
        calm = wait_samples(
            node,
            lambda samples: samples[-1].at > left.at + 5 and stalled_percent(samples, 5) < 1,
            "the node is calm",
        )
        wait_for(lambda: not status().get("request"), "the request is withdrawn", SLOW_SECONDS, 0.5)
        guests.end("hot")
        wait_for(lambda: guests.count("hot") == 0, "the guest ends elsewhere", SLOW_SECONDS, 0.5)
    cluster.kubectl("delete", "node", "elsewhere")  # nobody runs pods there any more

    assert asked["request"]["candidates"][0]["name"] == victim
    assert seconds(asked["pressure"]["since"], asked["request"]["decidedAt"]) < 5
    assert calm.at - left.at < 30
    assert guests.identities() == cold
    relieved = [each["victim"] for each in status()["decisions"] if each["action"] == "relieve"]
    # The node also remembers what it decided about pods of other namespaces. On a busy machine the pod leaves
    # so slowly that the node decides again while it is on its way.
    own = f"{guests.namespace}/"
    assert {name for name in relieved if name.startswith(own)} == {f"{own}{victim}"}
    assert status()["relief"]["outcomes"][0]["outcome"] == "Migrated"
    assert overbook.said()


def seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
