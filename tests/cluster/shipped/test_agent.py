"""The agent's DaemonSet runs as it is shipped, beside a kubelet that gives no swap."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from overbook.core.kubernetes.pod import Pod
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.node import api_service
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from tests.cluster.as_user import MERGE
from tests.cluster.conftest import make_namespace
from tests.cluster.node.load_pods import LoadPods, container, manifest, resources
from tests.cluster.shipped.part import SLOW_SECONDS, Shipped
from tests.waiting import wait_for

OBJECT = "/apis/overbook.dev/v1alpha1/overcommitnodes/real"
OWNERS_WISH = "/apis/overbook.dev/v1alpha1/overcommits/cluster"
NEVER = {"any": [{"all": [{"detector": "swapOccupancy", "thresholdFactor": 1.0}]}]}
SETTINGS = {"swap": {"eligibility": "Burstable"}, "ruleset": {"rules": [NEVER]}}
"""What allocates at once stalls its node for a moment; here nobody has to go for that."""
MIB = 1 << 20
REQUEST = resources(request_memory="32Mi", limit_memory="64Mi")
AT_ONCE_MIB = 76
"""Touched by the first instructions, of 64 MiB of RAM and some 21 of swap."""
MOST_RESIDENT_MIB: Final = 45
CAPABILITIES: Final = (5, 14, 24)
"""KILL, IPC_LOCK and SYS_RESOURCE, as linux/capability.h numbers them."""
FILTERED: Final = "2"
"""By seccomp, as /proc/PID/status says."""
EXPECTED: Final = "mode Observe: nothing is done|Enforce from now on|WatermarkBelowEviction"
"""Log lines: the mode before and after the owner changed it, and a finding of the doctor on this node."""


@pytest.fixture(scope="module")
def pods(cluster: ControlPlane, node: KubernetesNode) -> Iterator[LoadPods]:
    """The pods of the VMs' namespace."""
    namespace = make_namespace(cluster)
    yield LoadPods(cluster, node, namespace)
    cluster.kubectl("delete", "pods", "--all", "--namespace", namespace)  # others count what is there
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def agent(
    cluster: ControlPlane, node: KubernetesNode, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shipped]:
    """The agent is installed, and its pod is ready."""
    shipped = Shipped(cluster, node, "agent")
    node.restart_kubelet(memorySwap={"swapBehavior": "NoSwap"})
    try:
        with shipped.running(tmp_path_factory.mktemp("agent"), SETTINGS):
            shipped.admin.ask("PATCH", OWNERS_WISH, {"spec": {"mode": "Enforce"}}, MERGE)
            yield shipped
    finally:
        node.restart_kubelet(memorySwap={"swapBehavior": "LimitedSwap"})


def status_of(agent: Shipped) -> dict[str, Any]:
    """Return what the agent reports of its node."""
    found = {} if agent.admin.refusal("GET", OBJECT) else agent.admin.ask("GET", OBJECT).get("status", {})
    return dict(found)


@pytest.fixture(scope="module")
def guest(agent: Shipped, pods: LoadPods) -> Pod:
    """One that takes more at once than it may have in RAM."""
    wait_for(
        lambda: "calls the plugin for new containers" in agent.said(),
        "the runtime asks it",
        SLOW_SECONDS,
        1.0,
    )
    return pods.start(manifest("guest", container("main", burst_mib=AT_ONCE_MIB, **REQUEST)))["guest"]


def test_agent_is_ready_by_its_own_probes_without_a_restart(agent: Shipped) -> None:
    assert agent.ready()


def test_the_agents_node_has_its_status(agent: Shipped) -> None:
    def shown() -> dict[str, Any] | None:
        """Return the status, once the agent enforces and knows the writer."""
        found = status_of(agent)
        return found if found.get("mode") == "Enforce" and found["swap"].get("writer") else None

    status = wait_for(shown, "a status with a writer", SLOW_SECONDS, 0.5)
    sample = agent.node.samples[-1]
    assert status["memory"]["totalBytes"] == sample.mem_total_bytes
    assert status["swap"]["totalBytes"] == sample.swap_total_bytes
    assert status["swap"]["writer"] == "nri"


def test_a_pod_has_its_limit_from_the_first_instruction(agent: Shipped, pods: LoadPods, guest: Pod) -> None:
    wait_for(
        lambda: int(pods.file(guest, "memory.swap.current") or 0) > 4 * MIB,
        "what it took is in swap",
        SLOW_SECONDS,
        0.5,
    )
    assert "oom_kill 0" in pods.file(guest, "memory.events").splitlines()
    assert pods.file(guest, "memory.swap.max") == pods.allowance(guest)
    assert "guest/main starts with memory.swap.max" in agent.said()


def test_a_changed_limit_is_corrected(agent: Shipped, pods: LoadPods, guest: Pod) -> None:
    limit = f"/sys/fs/cgroup/{pods.cgroup(guest)}/memory.swap.max"
    agent.node.run("/bin/sh", "-c", f"echo max > {limit}")  # less would end it: it may still be taking memory
    wait_for(
        lambda: pods.file(guest, "memory.swap.max") == pods.allowance(guest), "its limit", SLOW_SECONDS, 0.5
    )


def test_agent_is_small_and_stays_in_ram(agent: Shipped) -> None:
    assert int(agent.process("VmRSS").split()[0]) < MOST_RESIDENT_MIB * 1024
    assert int(agent.process("VmLck").split()[0]) > 0
    assert int(agent.process("VmSwap").split()[0]) == 0
    assert int(agent.cgroup("memory.current")) < int(agent.cgroup("memory.max")) == 64 * MIB
    assert "oom_kill 0" in agent.cgroup("memory.events").splitlines()


def test_the_agents_rights_are_those_of_the_manifest(agent: Shipped) -> None:
    assert int(agent.process("CapEff"), 16) == sum(1 << number for number in CAPABILITIES)
    assert agent.process("Seccomp") == FILTERED
    assert agent.process("NoNewPrivs") == "1"


def test_the_agents_log_holds_no_warning(agent: Shipped, guest: Pod) -> None:
    assert guest.metadata.name in agent.said()
    lines = agent.said().splitlines()
    # A busy kubelet may be slow once; one that refuses the agent is a fault of what is shipped.
    refused = [
        line for line in lines if "the kubelet does not report" in line and "did not answer" not in line
    ]
    assert not refused
    loud = [line for line in lines if re.search(r"WARNING|ERROR|Traceback|ermission", line)]
    assert not [line for line in loud if not re.search(EXPECTED, line)]


def test_kubelet_lists_a_new_pod_while_the_api_is_unreachable(agent: Shipped, pods: LoadPods) -> None:
    api_service.stop(agent.node)
    late = pods.start(manifest("late", container("main", hot_mib=2, **REQUEST)))["late"]

    wait_for(
        lambda: pods.file(late, "memory.swap.max") == pods.allowance(late), "its limit", SLOW_SECONDS, 0.5
    )
    assert "the API server does not answer; the kubelet lists" in agent.said()
    assert agent.ready()
    api_service.start(agent.cluster, agent.node)
    wait_for(
        lambda: "pods come from the API server again" in agent.said(), "it comes back", SLOW_SECONDS, 1.0
    )


def test_agent_without_its_daemonset_ends_and_leaves_its_limits(
    agent: Shipped, pods: LoadPods, guest: Pod
) -> None:
    agent.assert_ends_in_time()

    node = agent.admin.ask("GET", "/api/v1/nodes/real")
    assert not [each for each in node["spec"].get("taints", ()) if "overbook" in each["key"]]
    assert "request" not in status_of(agent)
    assert pods.file(guest, "memory.swap.max") == pods.allowance(guest)  # onExit: Leave
    assert pods.restarts(guest) == 0
