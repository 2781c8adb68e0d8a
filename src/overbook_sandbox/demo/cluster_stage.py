"""The cluster of the demo: a control plane, Overbook, KubeVirt's stand-in, and a real node.

All except KubeVirt is real: scheduler, kubelet, containerd, Eviction API and kernel act together.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

from overbook.core.overcommit.swap import node_swap_bytes
from overbook_sandbox.cluster import overbook_in_cluster
from overbook_sandbox.cluster.background import Background
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.service import Service
from overbook_sandbox.demo.cluster_load import NAMESPACE
from overbook_sandbox.kubevirt.stand_in import KubeVirtStandIn
from overbook_sandbox.machine.spec import GIBIBYTE, HOST_ADDRESS, MachineSpec
from overbook_sandbox.node.kubernetes_agent import KubernetesAgent
from overbook_sandbox.node.kubernetes_node import KubernetesNode, Parts
from overbook_sandbox.node.node_configuration import KubernetesNodeSpec

NODE: Final = "worker-1"
PERCENT: Final = 150
MEMORY_BYTES: Final = GIBIBYTE * 3 // 2

_VIEWER: Final = "viewer"
# As a cloud's general-purpose disk. Without a limit, swapping to the host's page cache would be too fast.
_SWAP_OPERATIONS_PER_SECOND: Final = 3_000
_SWAP_BYTES_PER_SECOND: Final = 125_000_000
_OVERCOMMIT_SPEC: Final = {"percentage": PERCENT, "mode": "Enforce", "relief": {"coolDownSeconds": 10}}
_AGENT_SETTINGS: Final = {
    "calmSeconds": 10.0,
    "heartbeatSeconds": 5.0,
}  # short times, so that the demo ends soon
_VIRTUALIZATION: Final = {
    "evictionStrategy": "LiveMigrate",
    "developerConfiguration": {"memoryOvercommit": PERCENT},
}

Say = Callable[[str], None]


class Stage(NamedTuple):
    """The running parts of the demo's cluster.

    Attributes:
        cluster: The control plane.
        node: The emulated node, with the agent in it.
        controller: Overbook's controller.
        viewer: The path of a kubeconfig with the rights of the ClusterRole `overbook-status`.
    """

    cluster: ControlPlane
    node: KubernetesNode
    controller: Service
    viewer: str


@contextmanager
def stage(folder: str, parts: Parts, say: Say) -> Iterator[Stage]:
    """Start the cluster; at the end of the block all parts have ended.

    Args:
        folder: The folder for keys, data and logs.
        parts: The node's parts.
        say: Receives a line for each step.

    Raises:
        SandboxError: A part did not start; the text has the end of its log.
    """
    with ExitStack() as stack:
        say("starting etcd, kube-apiserver, kube-controller-manager and kube-scheduler")
        cluster = stack.enter_context(
            ControlPlane(os.path.join(folder, "control-plane"), addresses=(HOST_ADDRESS,))
        )
        say("installing Overbook: custom resources, accounts, rights and policies, as shipped")
        overbook_in_cluster.install(cluster, _OVERCOMMIT_SPEC)
        say("starting a stand-in for KubeVirt, and `overbook controller`")
        kubevirt = KubeVirtStandIn(cluster, _VIRTUALIZATION)
        kubevirt.install()
        stack.enter_context(Background(kubevirt.run, "KubeVirt's stand-in"))
        controller = overbook_in_cluster.controller(cluster)
        stack.callback(controller.stop)
        controller.start()
        say(f"booting {NODE} under emulation, with a real kubelet, containerd and runc; about a minute")
        node = stack.enter_context(KubernetesNode(cluster, _node_spec(), parts, os.path.join(folder, "node")))
        say(f"{NODE} is Ready after {node.ready_seconds:.0f} s; starting `overbook agent` in it")
        agent = KubernetesAgent(cluster, node)
        agent.register()
        agent.start(_AGENT_SETTINGS)
        cluster.kubectl("create", "namespace", NAMESPACE)
        binding = ("clusterrolebinding", _VIEWER, "--clusterrole=overbook-status", f"--user={_VIEWER}")
        cluster.kubectl("create", *binding)
        yield Stage(cluster, node, controller, cluster.user_kubeconfig(_VIEWER))


def _node_spec() -> KubernetesNodeSpec:
    machine = MachineSpec(
        memory_bytes=MEMORY_BYTES,
        swap_bytes=node_swap_bytes(MEMORY_BYTES, PERCENT),
        timeout_seconds=3600,
        swap_operations_per_second=_SWAP_OPERATIONS_PER_SECOND,
        swap_bytes_per_second=_SWAP_BYTES_PER_SECOND,
    )
    return KubernetesNodeSpec(name=NODE, machine=machine, sample_seconds=1.0, swap_behavior="NoSwap")
