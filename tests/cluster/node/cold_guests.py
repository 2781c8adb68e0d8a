"""Three cold virtual machines and Overbook on the real node, for tests in which one more starts hot."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from overbook.core.kubernetes.pod import ENDED
from overbook_sandbox.cluster import overbook_in_cluster
from overbook_sandbox.cluster.background import Background
from overbook_sandbox.cluster.control_plane import ControlPlane
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
        running = [pod for pod in listed if pod["status"]["phase"] not in ENDED]
        return sum(pod["metadata"]["annotations"]["kubevirt.io/domain"] == name for pod in running)

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


@contextmanager
def cold_guests(cluster: ControlPlane, node: KubernetesNode) -> Iterator[Guests]:
    """Let three cold VMs take all the memory they want."""
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


@contextmanager
def overbook_running(
    cluster: ControlPlane, node: KubernetesNode, **settings: Any
) -> Iterator[KubernetesAgent]:
    """Run agent and controller with the rights of their installation.

    Args:
        cluster: where.
        node: the agent's node.
        settings: further fields of the agent's configuration file.
    """
    admin = UserClient(cluster.kubeconfig)
    if admin.refusal("GET", OWNERS_WISH):
        install(cluster)
    spec = {"percentage": PERCENT, "mode": "Enforce", "relief": {"coolDownSeconds": 10}}
    admin.ask("PATCH", OWNERS_WISH, {"spec": spec}, MERGE)
    controller = overbook_in_cluster.controller(cluster)
    controller.start()
    agent = KubernetesAgent(cluster, node)
    agent.register()
    agent.start({"swap": {"eligibility": "Burstable"}, **settings})
    try:
        yield agent
    finally:
        print(agent.said())  # shown if the test fails
        agent.stop()
        controller.stop()


def node_status(guests: Guests) -> dict[str, Any]:
    """Return the status of the node's object, empty if there is none."""
    if guests.admin.refusal("GET", OBJECT):
        return {}
    found: dict[str, Any] = guests.admin.ask("GET", OBJECT).get("status", {})
    return found
