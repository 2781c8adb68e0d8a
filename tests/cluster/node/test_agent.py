import sys
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.resolved import resolve
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.node.kubernetes_agent import KubernetesAgent
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from tests.cluster.as_user import UserClient
from tests.cluster.conftest import make_namespace
from tests.cluster.installing import install
from tests.cluster.node.load_pods import LoadPods, container, container_ids, manifest, resources
from tests.conformance.original import limited_swap
from tests.waiting import wait_for

OBJECT = "/apis/overbook.dev/v1alpha1/overcommitnodes/real"
SLOW_SECONDS = 300.0
PAGE = 4096

# What the kubelet answers to a GET of a path: the status.
GET = """
import ssl, sys, urllib.error, urllib.request
path, authority, token_file = sys.argv[1:]
headers = {"Authorization": "Bearer " + open(token_file).read()} if token_file else {}
request = urllib.request.Request("https://127.0.0.1:10250" + path, headers=headers)
try:
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=authority)) as answer:
        print(answer.status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture(scope="module")
def guest(cluster: ControlPlane, node: KubernetesNode) -> Iterator[Pod]:
    """A Burstable pod waits on the node."""
    namespace = make_namespace(cluster)
    pods = LoadPods(cluster, node, namespace)
    main = container("main", hot_mib=2, **resources(request_memory="64Mi", limit_memory="128Mi"))
    yield pods.start(manifest("guest", main))["guest"]
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def agent(cluster: ControlPlane, node: KubernetesNode) -> Iterator[KubernetesAgent]:
    """The agent enforces, with an account that has the agent's rights and no other."""
    install(cluster)
    spec = {"spec": {"mode": "Enforce"}}
    UserClient(cluster.kubeconfig).ask(
        "PATCH", "/apis/overbook.dev/v1alpha1/overcommits/cluster", spec, "application/merge-patch+json"
    )
    agent = KubernetesAgent(cluster, node)
    agent.register()
    agent.start({"swap": {"eligibility": "Burstable"}})
    yield agent
    print(agent.said())  # shown where a test fails
    agent.stop()


def status_of(cluster: ControlPlane) -> dict[str, Any]:
    admin = UserClient(cluster.kubeconfig)
    if admin.refusal("GET", OBJECT):
        return {}
    status: dict[str, Any] = admin.ask("GET", OBJECT).get("status", {})
    return status


def test_kubelet_gives_the_agent_its_pods_and_settings_only(
    cluster: ControlPlane, node: KubernetesNode, agent: KubernetesAgent
) -> None:
    def answer(path: str, token_file: str) -> str:
        done = node.run(sys.executable, "-c", GET, path, cluster.pki.authority, token_file, seconds=120)
        return done.output.strip()

    assert answer("/pods", agent.token_file) == "200"
    assert answer("/configz", agent.token_file) == "200"
    assert answer("/metrics", agent.token_file) == "403"
    assert answer("/pods", "") == "401"


def test_the_agents_object_shows_the_nodes_memory_and_swap(
    cluster: ControlPlane, node: KubernetesNode, agent: KubernetesAgent, guest: Pod
) -> None:
    sample = node.samples[-1]
    resolved = resolve(guest)
    decision = limited_swap(resolved, resolved.containers[0], sample.mem_total_bytes, sample.swap_total_bytes)

    def shown() -> dict[str, Any] | None:
        """Return the status, once the pod is its node's only one: another test's may still be leaving."""
        found = status_of(cluster)
        return found if found.get("swap", {}).get("allowedBytes") == decision.swap_max_bytes else None

    status = wait_for(shown, f"the guest's allowance in the status\n{agent.said()}", SLOW_SECONDS, 0.5)
    assert status["memory"]["totalBytes"] == sample.mem_total_bytes
    assert status["swap"]["totalBytes"] == sample.swap_total_bytes
    assert status["mode"] == "Enforce"


def test_the_agents_limits_equal_the_kubelets(
    node: KubernetesNode, agent: KubernetesAgent, guest: Pod
) -> None:
    def limit() -> int | None:
        """Return the limit in the latest sample: on a busy node, samples and writes come late."""
        sample = node.samples[-1]
        found = sample.pods.get(guest.metadata.uid or "", {}).get(container_ids(guest)["main"])
        return None if found is None else found.memory_swap_max_bytes

    assert agent.said()
    sample = node.samples[-1]
    resolved = resolve(guest)
    decision = limited_swap(resolved, resolved.containers[0], sample.mem_total_bytes, sample.swap_total_bytes)
    wanted = decision.swap_max_bytes // PAGE * PAGE
    wait_for(lambda: limit() == wanted, "the pod's limit is the kubelet's", SLOW_SECONDS, 0.5)


def test_limits_are_left_to_the_kubelet_and_mismatches_reported(
    cluster: ControlPlane, node: KubernetesNode, agent: KubernetesAgent, guest: Pod
) -> None:
    def swap() -> dict[str, Any]:
        found: dict[str, Any] = status_of(cluster).get("swap", {})
        return found

    wait_for(lambda: swap().get("writer") == "kubelet", "it knows the kubelet's part", SLOW_SECONDS, 0.5)
    wait_for(lambda: swap().get("differing") == 0, "both say the same", SLOW_SECONDS, 0.5)
    assert "GET /configz: 4" not in agent.said()  # a refusal; a busy kubelet's answer may come late
    path = f"/sys/fs/cgroup/kubepods/burstable/pod{guest.metadata.uid}/{container_ids(guest)['main']}"
    limit = f"{path}/memory.swap.max"
    before = (node.read(limit)[limit] or "").strip()
    write = 'printf %s "$1" > "$2"'
    node.run("sh", "-c", write, "sh", str(100 * PAGE), limit)
    try:
        wait_for(lambda: swap().get("differing") == 1, "it notices", SLOW_SECONDS, 0.5)
        sentence = "guest/main is 0 MiB by the kubelet, and should be"
        wait_for(lambda: sentence in agent.said(), "it says which", SLOW_SECONDS, 0.5)
        assert (node.read(limit)[limit] or "").strip() == str(100 * PAGE)
    finally:
        node.run("sh", "-c", write, "sh", before, limit)
    wait_for(lambda: swap().get("differing") == 0, "both say the same again", SLOW_SECONDS, 0.5)
    assert "-> " not in "".join(line for line in agent.said().splitlines() if "guest/main" in line)


def test_settings_in_conflict_with_the_kubelet_are_reported(
    cluster: ControlPlane, node: KubernetesNode, agent: KubernetesAgent, guest: Pod
) -> None:
    path = f"/sys/fs/cgroup/kubepods/burstable/pod{guest.metadata.uid}/{container_ids(guest)['main']}"
    limit = f"{path}/memory.swap.max"
    before = node.read(limit)[limit]
    agent.stop()
    agent.start()  # virtual machines only, by default
    try:

        def problem() -> dict[str, str] | None:
            told = status_of(cluster).get("problems", [])
            return next((each for each in told if each["word"] == "SwapWriter"), None)

        told = wait_for(problem, "it is reported", SLOW_SECONDS, 0.5)
        assert "this kubelet runs with LimitedSwap" in told["sentence"]
        assert node.read(limit)[limit] == before
    finally:
        agent.stop()
        agent.start({"swap": {"eligibility": "Burstable"}})


def test_the_kubelet_lists_the_pods_without_the_api_server(
    cluster: ControlPlane, agent: KubernetesAgent, guest: Pod
) -> None:
    assert guest.metadata.uid
    wait_for(lambda: status_of(cluster), "the agent reports", SLOW_SECONDS, 0.5)
    cluster.kill_api_server()
    try:
        wait_for(lambda: "the kubelet tells" in agent.said(), "the kubelet is asked", SLOW_SECONDS, 0.5)
    finally:
        cluster.start_api_server()
    wait_for(lambda: "the API server tells the pods again" in agent.said(), "it is back", SLOW_SECONDS, 0.5)
