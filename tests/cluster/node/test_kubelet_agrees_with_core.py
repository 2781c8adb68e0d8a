from collections.abc import Iterator

import pytest

from overbook.core.kubernetes.cgroup import container_values, cpu_weight_of_kubelet, pod_values
from overbook.core.kubernetes.oom_score import oom_score_adj
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.resolved import resolve
from overbook.kernel.kubepods_names import (
    is_kubepods_directory,
    parse_container_directory,
    parse_pod_directory,
    parse_qos_directory,
)
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from tests.cluster.conftest import make_namespace
from tests.cluster.node.load_pods import LoadPods, container, container_ids, manifest, resources
from tests.conformance.original import limited_swap

PAGE = 4096
MOUNT = "/sys/fs/cgroup"

MANIFESTS = (
    manifest(
        "burstable",
        container(
            "swaps",
            hot_mib=2,
            cold_mib=30,
            **resources(request_memory="64Mi", limit_memory="96Mi", request_cpu="100m", limit_cpu="500m"),
        ),
        container(
            "request-is-limit",
            hot_mib=2,
            **resources(request_memory="32Mi", limit_memory="32Mi", request_cpu="50m"),
        ),
    ),
    manifest(
        "guaranteed",
        container("main", hot_mib=2, cold_mib=10, **resources(limit_memory="32Mi", limit_cpu="200m")),
    ),
    manifest("best-effort", container("main", hot_mib=2, cold_mib=10)),
    manifest(
        "own-network", container("main", hot_mib=2, **resources(request_memory="48Mi")), hostNetwork=False
    ),
)


class Running:
    """The running pods, their containers, and the paths of their cgroups."""

    def __init__(self, node: KubernetesNode, pods: dict[str, Pod]) -> None:
        self.node = node
        self.pods = pods
        self.containers = {
            (name, each.name): (pod, each, f"{pod_path(pod.pod)}/{container_ids(pod.pod)[each.name]}")
            for name, pod in ((name, resolve(pod)) for name, pod in pods.items())
            for each in pod.containers
        }

    def values(self, *files: str) -> dict[str, list[str]]:
        """Read some files of each container's cgroup, by path."""
        paths = [path for _, _, path in self.containers.values()]
        contents = self.node.read(*(f"{MOUNT}/{path}/{file}" for path in paths for file in files))
        return {
            path: [(contents[f"{MOUNT}/{path}/{file}"] or "").strip() for file in files] for path in paths
        }


def pod_path(pod: Pod) -> str:
    """Where the kubelet's cgroupfs driver puts a pod."""
    quality = resolve(pod).qos_class.lower()
    middle = "" if quality == "guaranteed" else f"{quality}/"
    return f"kubepods/{middle}pod{pod.metadata.uid}"


@pytest.fixture(scope="module")
def running(cluster: ControlPlane, node: KubernetesNode) -> Iterator[Running]:
    namespace = make_namespace(cluster)
    yield Running(node, LoadPods(cluster, node, namespace).start(*MANIFESTS))
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def test_cgroups_are_where_their_names_say(running: Running) -> None:
    for pod, _, path in running.containers.values():
        top, *quality, pod_directory, container_directory = path.split("/")
        assert is_kubepods_directory(top)
        assert [parse_qos_directory(name) for name in quality] == (
            [] if pod.qos_class == "Guaranteed" else [pod.qos_class]
        )
        assert getattr(parse_pod_directory(pod_directory), "uid", None) == pod.pod.metadata.uid
        assert parse_container_directory(container_directory) is not None
    assert all(procs for (procs,) in running.values("cgroup.procs").values())


def test_the_api_server_agrees_about_the_qos_class(running: Running) -> None:
    assert {name: resolve(pod).qos_class for name, pod in running.pods.items()} == {
        name: pod.status and pod.status.qos_class for name, pod in running.pods.items()
    }


def test_swap_is_limited_as_core_computes_it(running: Running) -> None:
    sample = running.node.samples[-1]
    found = running.values("memory.swap.max")
    reasons = set()
    for pod, each, path in running.containers.values():
        decision = limited_swap(pod, each, sample.mem_total_bytes, sample.swap_total_bytes)
        assert found[path] == [str(decision.swap_max_bytes // PAGE * PAGE)], (pod.pod.metadata.name, decision)
        reasons.add(decision.reason)
    assert reasons == {"Eligible", "RequestIsLimit", "NotBurstable"}


def test_the_kernel_swaps_no_more_of_a_container_than_computed(running: Running) -> None:
    push_out = 'for group; do echo 80M > "$group/memory.reclaim"; done 2>/dev/null; true'
    groups = [f"{MOUNT}/{path}" for _, _, path in running.containers.values()]
    running.node.run("sh", "-c", push_out, "sh", *groups, seconds=120)
    found = running.values("memory.swap.current", "memory.swap.max")
    assert all(int(current) <= int(limit) for current, limit in found.values())
    assert {key: int(found[path][0]) > 0 for key, (_, _, path) in running.containers.items()} == {
        ("burstable", "swaps"): True,
        ("burstable", "request-is-limit"): False,
        ("guaranteed", "main"): False,
        ("best-effort", "main"): False,
        ("own-network", "main"): True,
    }


def test_limits_of_containers_are_as_core_computes(running: Running) -> None:
    found = running.values("memory.max", "cpu.max")
    for pod, each, path in running.containers.values():
        values = container_values(pod, each)
        assert found[path] == [
            str(values.memory_max_bytes or "max"),
            f"{values.cpu_quota_micros or 'max'} {values.cpu_period_micros}",
        ], each.name


def test_weights_of_containers_are_cores_whatever_runcs_release(running: Running) -> None:
    """The runtime decides which conversion of shares applies; both are in core."""
    found = [int(weight) for (weight,) in running.values("cpu.weight").values()]
    values = [container_values(pod, each) for pod, each, _ in running.containers.values()]
    assert found in (
        [each.cpu_weight for each in values],
        [cpu_weight_of_kubelet(each.cpu_shares) for each in values],
    )


def test_limits_and_weights_of_pods_are_as_core_computes(running: Running) -> None:
    files = ("memory.max", "cpu.max", "cpu.weight")
    paths = {name: f"{MOUNT}/{pod_path(pod)}" for name, pod in running.pods.items()}
    contents = running.node.read(*(f"{path}/{file}" for path in paths.values() for file in files))
    for name, path in paths.items():
        values = pod_values(resolve(running.pods[name]))
        assert [(contents[f"{path}/{file}"] or "").strip() for file in files] == [
            str(values.memory_max_bytes or "max"),
            f"{values.cpu_quota_micros or 'max'} 100000",
            str(values.cpu_weight),
        ], name


def test_oom_scores_are_as_core_computes(running: Running) -> None:
    total = running.node.samples[-1].mem_total_bytes
    processes = {path: procs.split()[0] for path, (procs,) in running.values("cgroup.procs").items()}
    scores = running.node.read(*(f"/proc/{process}/oom_score_adj" for process in processes.values()))
    for pod, each, path in running.containers.values():
        score = int(scores[f"/proc/{processes[path]}/oom_score_adj"] or 0)
        assert score == oom_score_adj(pod, each, total), (pod.pod.metadata.name, each.name)
