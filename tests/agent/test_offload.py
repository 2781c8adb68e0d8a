"""The agent swaps out cold memory ahead of need where it may, and says what that bought."""

from typing import Any

import pytest

from overbook.agent.agent import Agent
from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.pressure.offload import OffloadPolicy
from tests.agent.fake_node import MI, FakeNode
from tests.agent.test_ports import agent_of, hear, reported, told
from tests.probes.exposition_reader import parsed


def swapping(node: FakeNode, **settings: Any) -> tuple[Agent, str]:
    """Return an agent on a node with a cold pod and less memory than the reserve, and the pod's cgroup."""
    node.set(mem_available_bytes=150 * MI)
    path = node.start("vm", memory_current=300 * MI, memory_swap_max=None)
    return node.agent(**settings), path


def asked(node: FakeNode, path: str) -> str:
    return node.file(path, "memory.reclaim").read_text()


def metric(agent: Agent, name: str) -> float:
    return parsed(agent.metrics.render(agent.values()).decode())[f"overbook_{name}", ()]


def test_cold_memory_goes_out_before_any_rule_fires(node: FakeNode) -> None:
    agent, path = swapping(node)
    assert node.tick(agent) is None
    assert int(asked(node, path)) <= 3 * MI
    assert metric(agent, "reclaim_asked_bytes_total") > 0
    agent.stop()


PROTECTING = KubeletConfiguration(fail_swap_on=False, memory_reservation_policy="TieredReservation")


@pytest.mark.parametrize(
    ("least", "low", "offloadable"),
    [("0", "0", 54), ("0", str(280 * MI), 20), (str(300 * MI), "8", 0), ("max", "0", 0)],
)
@pytest.mark.parametrize("protects", [True, False])
def test_protected_memory_is_not_swapped_out(
    node: FakeNode, least: str, low: str, offloadable: int, protects: bool
) -> None:
    node.set(mem_available_bytes=150 * MI)
    path = node.run("vm", memory_current=300 * MI, memory_swap_max=None)
    node.file(path, "memory.min").write_text(f"{least}\n")
    node.file(path, "memory.low").write_text(f"{low}\n")
    agent, bridge = agent_of(node)
    bridge.update_pods(told("vm"))
    bridge.update_kubelet(PROTECTING)
    bridge.update_kubelet_minor(37 if protects else 36)
    hear(bridge, percentage=150, mode="Observe")
    node.tick(agent)
    observed = agent.metrics.latest
    wanted = offloadable if protects else 54
    assert observed is not None
    assert (observed.offloadable_bytes or 0) // MI == wanted
    hear(bridge, percentage=150)
    node.tick(agent)
    assert (asked(node, path) != "") == (wanted > 0)
    agent.stop()


@pytest.mark.parametrize("mode", ["Off", "Observe"])
def test_offload_that_may_not_act_writes_nothing(node: FakeNode, mode: Any) -> None:
    agent, path = swapping(node, offload=OffloadPolicy(mode=mode))
    node.tick(agent)
    assert asked(node, path) == ""
    assert metric(agent, "reclaim_asked_bytes_total") == 0
    agent.stop()


def test_an_observing_agent_says_what_offload_would_swap_out(node: FakeNode) -> None:
    agent, path = swapping(node, mode="Observe")
    node.tick(agent)
    assert asked(node, path) == ""
    tick = agent.metrics.latest
    assert tick is not None
    # A fifth of 1 GiB is to be available, and 150 MiB are; the pod may swap 128 MiB.
    assert tick.offloadable_bytes == 1024 * MI * 20 // 100 - 150 * MI
    assert metric(agent, "offloadable_bytes") == tick.offloadable_bytes
    agent.stop()


def test_offload_is_in_the_nodes_status(node: FakeNode) -> None:
    node.set(mem_available_bytes=150 * MI)
    path = node.run("vm", memory_current=300 * MI, memory_swap_max=None)
    agent, bridge = agent_of(node)
    bridge.update_pods(told("vm"))
    hear(bridge, percentage=150, mode="Observe")
    node.tick(agent)
    observed = reported(bridge)
    assert observed is not None
    assert observed.status.memory.offloadable_bytes == 1024 * MI * 20 // 100 - 150 * MI
    hear(bridge, percentage=150)
    node.tick(agent)
    acting = reported(bridge)
    assert acting is not None
    assert acting.status.memory.offloadable_bytes is None
    assert acting.status.memory.offloaded_bytes == 0  # nothing goes out of a pod of files
    assert asked(node, path) != ""
    agent.stop()


def test_a_pause_ends_offload_too(node: FakeNode) -> None:
    node.set(mem_available_bytes=150 * MI)
    path = node.run("vm", memory_current=300 * MI, memory_swap_max=None)
    agent, bridge = agent_of(node)
    bridge.update_pods(told("vm"))
    hear(bridge, percentage=150, paused=True)
    node.tick(agent)
    assert asked(node, path) == ""
    agent.stop()
