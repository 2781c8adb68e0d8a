"""A node with LimitedSwap has three cold VMs and one that starts hot: first alone, then with Overbook."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import pytest

from overbook_sandbox.cluster import overbook_in_cluster
from overbook_sandbox.cluster.background import Background
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.hollow_nodes import HollowNodes
from overbook_sandbox.cluster.hollow_status import HollowNode
from overbook_sandbox.demo.cluster_events import held_bytes
from overbook_sandbox.kubevirt.launcher import OVERHEAD_BYTES_ANNOTATION, POD_SPEC_ANNOTATION
from overbook_sandbox.kubevirt.migrations import SECONDS_ANNOTATION
from overbook_sandbox.kubevirt.stand_in import KubeVirtStandIn
from overbook_sandbox.node.kubernetes_agent import KubernetesAgent
from overbook_sandbox.node.kubernetes_messages import NodeReading
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from tests.cluster.as_user import MERGE, UserClient
from tests.cluster.conftest import make_namespace
from tests.cluster.installing import install
from tests.cluster.node.load_pods import container
from tests.waiting import wait_for

MIB = 1 << 20
SLOW_SECONDS = 400.0
COLD = ("cold-a", "cold-b", "cold-c")
COLD_MIB = 250
HOT_MIB = 760
TOO_HOT_MIB = 880
"""More than the RAM that the cold VMs leave when all that they may swap is swapped: it thrashes for good."""
DELAY_SECONDS = 15
"""The hot VM begins when KubeVirt knows that it runs: a VM that is starting is not migrated."""
PERCENT = 150
OWNERS_WISH = "/apis/overbook.dev/v1alpha1/overcommits/cluster"
OBJECT = "/apis/overbook.dev/v1alpha1/overcommitnodes/real"


class Guests(NamedTuple):
    """The virtual machines of one namespace."""

    admin: UserClient
    node: KubernetesNode
    namespace: str

    @property
    def _machines(self) -> str:
        return f"/apis/kubevirt.io/v1/namespaces/{self.namespace}/virtualmachineinstances"

    def make(self, name: str, *, hot_mib: int = 0, cold_mib: int = 0) -> None:
        """Create a virtual machine that is promised as much memory as a cold one takes."""
        plain = {"automountServiceAccountToken": False, "enableServiceLinks": False, "hostNetwork": True}
        load = container(
            name, hot_mib=hot_mib, cold_mib=cold_mib, delay_seconds=DELAY_SECONDS if hot_mib else 0
        )
        spec = {**plain, "terminationGracePeriodSeconds": 1, "containers": [load]}
        annotations = {
            OVERHEAD_BYTES_ANNOTATION: str(10 * MIB),
            POD_SPEC_ANNOTATION: msgspec.json.encode(spec).decode(),
            SECONDS_ANNOTATION: "2",
        }
        machine = {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachineInstance",
            "metadata": {"name": name, "namespace": self.namespace, "annotations": annotations},
            "spec": {"domain": {"memory": {"guest": "225Mi"}}},
        }
        self.admin.ask("POST", self._machines, machine)

    def end(self, name: str) -> None:
        self.admin.ask("DELETE", f"{self._machines}/{name}")

    def pods(self) -> dict[str, dict[str, Any]]:
        """Return the pods on the node, by their VM's name."""
        listed = self.admin.ask("GET", f"/api/v1/namespaces/{self.namespace}/pods")["items"]
        return {
            pod["metadata"]["annotations"]["kubevirt.io/domain"]: pod
            for pod in listed
            if pod["spec"].get("nodeName") == "real" and pod["status"]["phase"] in {"Pending", "Running"}
        }

    def count(self, name: str) -> int:
        """Count a VM's pods on all nodes."""
        listed = self.admin.ask("GET", f"/api/v1/namespaces/{self.namespace}/pods")["items"]
        return sum(pod["metadata"]["annotations"]["kubevirt.io/domain"] == name for pod in listed)

    def held_bytes(self, name: str) -> int:
        """Return a pod's holdings, as the node's kernel counts them."""
        uid = self.pods()[name]["metadata"]["uid"]
        return held_bytes(self.node.samples[-1].pods.get(uid, {}))

    def identities(self) -> dict[str, tuple[str, int]]:
        """Return pod and restarts of each cold VM: both change when the VM is disturbed."""
        pods = self.pods()
        return {
            name: (
                pods[name]["metadata"]["uid"],
                sum(each["restartCount"] for each in pods[name]["status"]["containerStatuses"]),
            )
            for name in COLD
        }


@pytest.fixture(scope="module")
def guests(cluster: ControlPlane, node: KubernetesNode) -> Iterator[Guests]:
    """Three cold VMs have taken all the memory they want."""
    kubevirt = KubeVirtStandIn(
        cluster,
        {"evictionStrategy": "LiveMigrate", "developerConfiguration": {"memoryOvercommit": PERCENT}},
    )
    kubevirt.install()
    namespace = make_namespace(cluster)
    with Background(kubevirt.run, "KubeVirt's stand-in"):
        made = Guests(UserClient(cluster.kubeconfig), node, namespace)
        for name in COLD:
            made.make(name, cold_mib=COLD_MIB)
        wait_for(lambda: set(COLD) <= set(made.pods()), "the cold guests are scheduled", SLOW_SECONDS, 0.5)
        for name in COLD:
            wait_for(
                lambda name=name: made.held_bytes(name) >= COLD_MIB * MIB,  # type: ignore[misc] # bound now
                f"{name} has what it takes",
                SLOW_SECONDS,
                0.5,
            )
        yield made
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def stalled_percent(samples: list[NodeReading], seconds: float) -> float:
    """Return the share of the last seconds in which all work stalled on memory."""
    last = samples[-1]
    first = next(each for each in reversed(samples) if each.at <= last.at - seconds)
    assert last.full_stall_micros is not None
    assert first.full_stall_micros is not None
    return (last.full_stall_micros - first.full_stall_micros) / (last.at - first.at) / 10_000


def wait_samples(node: KubernetesNode, holds: Callable[[list[NodeReading]], bool], what: str) -> NodeReading:
    """Wait until the node's samples meet a condition, and return the first sample that does."""

    def found() -> NodeReading | None:
        samples = list(node.samples)
        return samples[-1] if holds(samples) else None

    return wait_for(found, what, SLOW_SECONDS, 0.25)


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
    """Agent and controller run with the rights of their installation."""
    admin = UserClient(cluster.kubeconfig)
    if admin.refusal("GET", OWNERS_WISH):
        install(cluster)
    spec = {"percentage": PERCENT, "mode": "Enforce", "relief": {"coolDownSeconds": 10}}
    admin.ask("PATCH", OWNERS_WISH, {"spec": spec}, MERGE)
    controller = overbook_in_cluster.controller(cluster)
    controller.start()
    agent = KubernetesAgent(cluster, node)
    agent.register()
    agent.start({"swap": {"eligibility": "Burstable"}})
    yield agent
    print(agent.said())  # shown where the test fails
    agent.stop()
    controller.stop()


def test_overbook_relieves_the_node_of_the_right_pod_in_seconds(
    cluster: ControlPlane, node: KubernetesNode, guests: Guests, overbook: KubernetesAgent
) -> None:
    def status() -> dict[str, Any]:
        if guests.admin.refusal("GET", OBJECT):
            return {}
        found: dict[str, Any] = guests.admin.ask("GET", OBJECT).get("status", {})
        return found

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
    assert relieved == [f"{guests.namespace}/{victim}"]
    assert status()["relief"]["outcomes"][0]["outcome"] == "Migrated"
    assert overbook.said()


def seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
