"""The configuration of a Kubernetes node's programs: kubelet, containerd and the pods' network.

Sources: Kubernetes "Kubelet Configuration (v1beta1)"; containerd `docs/cri/config.md` (version 3); CNI
specification 1.0.0.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from overbook_sandbox.cluster.pki import CertificateFiles
from overbook_sandbox.machine.spec import GIBIBYTE, NODE_ADDRESS, MachineSpec
from overbook_sandbox.node.container_runtime import ContainerRuntime
from overbook_sandbox.node.load_image import IMAGE

SwapBehavior = Literal["LimitedSwap", "NoSwap"]

CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"

_POD_SUBNET: Final = "10.244.0.0/24"


class KubernetesNodeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A Kubernetes node.

    Attributes:
        name: The Node object's name.
        machine: The emulated machine; it always gets a network.
        swap_behavior: The kubelet's `memorySwap.swapBehavior`.
        eviction_hard: The kubelet's thresholds; with the default, pods are evicted only if almost no memory
            is left.
        labels: The Node object's labels.
        taints: The Node object's taints at registration.
        sample_seconds: The time between two samples of the node.
    """

    name: str
    machine: MachineSpec = MachineSpec(
        memory_bytes=GIBIBYTE * 3 // 2, swap_bytes=GIBIBYTE, timeout_seconds=3600
    )
    swap_behavior: SwapBehavior = "LimitedSwap"
    eviction_hard: Mapping[str, str] = msgspec.field(default_factory=lambda: {"memory.available": "32Mi"})
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    sample_seconds: float = 2.0


def kubelet_configuration(
    spec: KubernetesNodeSpec, authority: str, serving: CertificateFiles
) -> dict[str, Any]:
    """The kubelet's configuration file.

    Args:
        spec: The node.
        authority: The path of the cluster's certificate authority, for the kubelet's clients.
        serving: The kubelet's serving certificate.
    """
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": authority},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "evictionHard": dict(spec.eviction_hard),
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,  # the one image cannot be fetched again
        "makeIPTablesUtilChains": False,
        "memorySwap": {"swapBehavior": spec.swap_behavior},
        "registerWithTaints": [dict(taint) for taint in spec.taints],
        "resolvConf": "",
        "tlsCertFile": serving.certificate,
        "tlsPrivateKeyFile": serving.key,
        "volumeStatsAggPeriod": "-1s",
    }


def kubelet_arguments(spec: KubernetesNodeSpec, *, configuration: str, kubeconfig: str) -> list[str]:
    """The kubelet's settings that exist only as command-line arguments.

    Args:
        spec: The node.
        configuration: The path of the kubelet's configuration file.
        kubeconfig: The path of the kubelet's kubeconfig.
    """
    labels = ",".join(f"{key}={value}" for key, value in spec.labels.items())
    return [
        f"--config={configuration}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={spec.name}",
        f"--node-ip={NODE_ADDRESS}",
        *([f"--node-labels={labels}"] if labels else []),
    ]


def containerd_configuration(runtime: ContainerRuntime, network_folder: str) -> str:
    """The configuration file of containerd.

    Args:
        runtime: The folder of the runtime's programs.
        network_folder: The folder of the pods' network configuration.
    """
    return f"""\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{IMAGE}"

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{runtime.folder}"]
conf_dir = "{network_folder}"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = "{runtime.path("containerd-shim-runc-v2")}"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{runtime.path("runc")}"
SystemdCgroup = false
"""


def network_configuration() -> dict[str, Any]:
    """The pods' network: a pair of devices between each pod and the node, which does not route."""
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": _POD_SUBNET}]],
                    "routes": [{"dst": "0.0.0.0/0"}],  # for the node's other addresses
                    "dataDir": "/run/cni-addresses",
                },
            }
        ],
    }
