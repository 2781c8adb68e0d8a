import logging
from typing import Any

import pytest

from overbook.core.pressure.decision import Decision
from overbook_sandbox.fakes.kernel_files import pressure_file
from tests.agent.fake_node import GI, MI, FakeNode


def in_trouble(node: FakeNode, agent: Any) -> list[Decision]:
    """Run half a minute of stalls with next to no memory available."""
    decisions = []
    for second in range(30):
        stalled = pressure_file(second * 900_000, second * 900_000)
        node.build({"proc": {"pressure": {"memory": stalled}}})
        decision = node.tick(agent)
        if decision is not None:
            decisions.append(decision)
    return decisions


def trouble(node: FakeNode, **settings: Any) -> tuple[Any, list[Decision]]:
    node.set(mem_available_bytes=30 * MI)
    node.start("wild", memory_current=600 * MI, memory_swap_max=None)
    node.start("calm", memory_current=200 * MI, memory_swap_max=None)
    agent = node.agent(on_exit="Restore", **settings)
    decisions = in_trouble(node, agent)
    agent.stop()
    return agent, decisions


def test_observe_mode_changes_no_file_and_logs_what_it_would_do(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node.set(mem_available_bytes=30 * MI)
    node.start("wild", memory_current=600 * MI, memory_swap_max=None)
    node.start("right", memory_current=200 * MI, memory_swap_max=128 * MI)
    agent = node.agent(mode="Observe", on_exit="Restore")
    before = node.everything()
    for second in range(1, 31):
        stalled = pressure_file(second * 900_000, second * 900_000)
        node.build({"proc": {"pressure": {"memory": stalled}}})
        node.tick(agent)
    agent.stop()
    after = node.everything()
    del before[str(node.root / "proc/pressure/memory")], after[str(node.root / "proc/pressure/memory")]
    assert after == before
    assert [message for message in caplog.messages if "memory.swap.max" in message] == [
        "memory.swap.max of demo/wild/compute would be 128 MiB (Burstable, and may swap)"
    ]
    assert not [message for message in caplog.messages if "another program" in message]
    assert any(
        "demo/wild" in message and "(mode Observe: nothing is done, no pod is evicted)" in message
        for message in caplog.messages
    )
    assert agent.values()["swap_limits_written_total"] == 0
    assert "0 swap limits put back as they were found" in caplog.messages


def test_observe_mode_decides_like_enforce_mode(
    node: FakeNode, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = FakeNode(tmp_path_factory.mktemp("other"))
    observing, observed = trouble(node, mode="Observe")
    _, acted = trouble(other, mode="Enforce")
    # A pod of files does not end: acting waits for it, observing takes it as gone. Until then they agree.
    until = next(n for n, decision in enumerate(acted) if decision.victim) + 1
    assert observed[:until] == acted[:until]
    assert [decision.action for decision in acted[:until]] == ["reclaim"] * (until - 1) + ["relieve"]
    victim = acted[until - 1].victim
    assert victim is not None
    assert victim.label == "demo/wild"
    first = observing.journal.reports[0]
    assert first.outcome == "observed"
    assert first.sentence == "demo/wild: would have been evicted; nothing was done"


def acting_paths(node: FakeNode) -> list[str]:
    base = node.root / "sys/fs/cgroup"
    return [str(path.parent.relative_to(base)) for path in base.rglob("memory.reclaim")]


def test_enforce_mode_writes_what_observe_mode_only_logs(node: FakeNode) -> None:
    agent, _ = trouble(node, mode="Enforce")
    written = [node.file(path, "memory.reclaim").read_text() for path in acting_paths(node)]
    assert any(int(text or 0) > 0 for text in written)
    assert agent.metrics.reclaimed_bytes > 0


def test_a_pod_within_its_allowance_is_not_beyond(node: FakeNode) -> None:
    node.set(mem_available_bytes=30 * MI, swap_free_bytes=GI // 4)
    # The pod holds its request and its 128 MiB of swap; the limit in the kernel is still "max".
    node.start("vm", memory_current=256 * MI, memory_swap_current=128 * MI, memory_swap_max=None)
    agent = node.agent(mode="Observe")
    decisions = in_trouble(node, agent)
    first = next(decision for decision in decisions if decision.victim)
    assert first.wall_seconds - decisions[0].wall_seconds == 15
    agent.stop()
