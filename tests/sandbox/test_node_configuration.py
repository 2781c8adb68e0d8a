import tomllib

import msgspec

from overbook_sandbox.cluster.pki import CertificateFiles
from overbook_sandbox.machine.spec import NODE_ADDRESS
from overbook_sandbox.node.container_runtime import ContainerRuntime
from overbook_sandbox.node.node_configuration import (
    KubernetesNodeSpec,
    containerd_configuration,
    kubelet_arguments,
    kubelet_configuration,
)

SPEC = KubernetesNodeSpec(name="worker")
SERVING = CertificateFiles("/serving.crt", "/serving.key")


def test_the_kubelet_trusts_the_api_servers_authorities() -> None:
    configuration = kubelet_configuration(SPEC, "/ca.crt", SERVING)
    assert configuration["authorization"] == {"mode": "Webhook"}
    assert configuration["authentication"] == {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": "/ca.crt"},
    }
    assert configuration["tlsCertFile"] == "/serving.crt"


def test_settings_of_a_test_reach_the_kubelet() -> None:
    spec = msgspec.structs.replace(
        SPEC,
        swap_behavior="NoSwap",
        eviction_hard={"memory.available": "100Mi"},
        labels={"zone": "a", "pool": "vms"},
        taints=({"key": "only", "effect": "NoSchedule"},),
    )
    configuration = kubelet_configuration(spec, "/ca.crt", SERVING)
    assert configuration["memorySwap"] == {"swapBehavior": "NoSwap"}
    assert configuration["evictionHard"] == {"memory.available": "100Mi"}
    assert configuration["registerWithTaints"] == [{"key": "only", "effect": "NoSchedule"}]
    arguments = kubelet_arguments(spec, configuration="/c.json", kubeconfig="/k")
    assert "--node-labels=zone=a,pool=vms" in arguments
    assert f"--node-ip={NODE_ADDRESS}" in arguments
    assert "--hostname-override=worker" in arguments


def test_containerd_starts_the_programs_of_the_cache() -> None:
    configuration = tomllib.loads(containerd_configuration(ContainerRuntime("/cache"), "/network"))
    assert configuration["version"] == 3
    runtime = configuration["plugins"]["io.containerd.cri.v1.runtime"]
    assert runtime["cni"] == {"bin_dirs": ["/cache"], "conf_dir": "/network"}
    runc = runtime["containerd"]["runtimes"]["runc"]
    assert runc["options"] == {"BinaryName": "/cache/runc", "SystemdCgroup": False}
    assert runc["runtime_path"] == "/cache/containerd-shim-runc-v2"
