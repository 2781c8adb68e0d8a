"""A file that is missing on a cgroup that lives is not a container that is gone."""

import pytest

from overbook.agent.problems import NodeFindings, node_problems
from overbook.agent.reclaim import CgroupReclaimer
from overbook.core.overcommit.swap import SwapDecision
from overbook.core.pressure.decision import ReclaimStep
from overbook_sandbox.fakes.kernel_files import remove_cgroup
from tests.agent.fake_node import MI, FakeNode, uid_of

SWAP_FILES = ("memory.swap.max", "memory.swap.current")


def test_swap_that_is_not_counted_is_said_once(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    paths = [node.start(name) for name in ("a", "b")]
    for path in paths:
        for name in SWAP_FILES:
            node.file(path, name).unlink()
    agent = node.agent()
    before = node.everything()
    for _ in range(5):
        node.tick(agent)
    assert len([message for message in caplog.messages if "does not count swap" in message]) == 1
    values = agent.values()
    assert values["containers_without_swap_accounting"] == 2
    assert (values["swap_limits_written_total"], values["swap_limits_differing"]) == (0, 0)
    assert node.everything() == before


def test_swap_that_is_counted_is_no_problem(node: FakeNode) -> None:
    node.start("a")
    agent = node.agent()
    node.tick(agent)
    assert agent.values()["containers_without_swap_accounting"] == 0


def test_memory_that_is_not_counted_is_said_once(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    path, good = node.start("a"), node.start("good", memory_swap_max=None)
    for name in (*SWAP_FILES, "memory.current", "memory.stat", "memory.max"):
        node.file(path, name).unlink()
    agent = node.agent()
    for _ in range(5):
        node.tick(agent)
    assert len([message for message in caplog.messages if "not readable" in message]) == 1
    assert agent.collector.uncounted_memory == 1
    assert node.limit(good) == str(128 * MI)


def test_a_container_that_ends_is_no_missing_file(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    path = node.start("a")
    agent = node.agent()
    node.tick(agent)
    remove_cgroup(node.root, path)
    node.tick(agent)
    assert caplog.messages == [message for message in caplog.messages if "not readable" not in message]
    assert agent.collector.uncounted_memory == 0


def test_a_limit_whose_file_vanishes_is_not_taken_for_written(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    path = node.start("a", memory_swap_max=0)
    agent = node.agent(mode="Enforce")
    node.tick(agent)
    node.tick(agent)
    held = agent.collector.containers[uid_of("a")]["compute"]
    node.file(path, "memory.swap.max").unlink()
    changed = agent._ports.limits._change(held, "demo/a", 0, 4096, SwapDecision(4096, "Eligible"))
    assert not changed
    assert any("cannot be kept" in message for message in caplog.messages)


def test_reclaim_without_swap_accounting_blames_no_kernel(node: FakeNode) -> None:
    path = node.start("a")
    agent = node.agent()
    node.tick(agent)
    node.file(path, "memory.swap.max").unlink()
    reclaimer = CgroupReclaimer(agent.collector)
    reclaimer.reclaim((ReclaimStep(uid_of("a"), "demo/a", MI),))
    reclaimer.reclaim(())
    assert reclaimer.supported
    assert node.file(path, "memory.reclaim").read_text() == ""


@pytest.mark.parametrize(
    ("numbers", "word", "said"),
    [
        ({"uncounted_swap": 3}, "SwapNotCounted", "swapaccount=1"),
        ({"uncounted_memory": 3}, "MemoryNotCounted", "cgroup_enable=memory"),
        ({"misplaced": ("demo/a is in system.slice/x",)}, "PodsMisplaced", "SystemdCgroup"),
    ],
)
def test_missing_accounting_is_a_problem_with_a_fix(numbers: dict[str, object], word: str, said: str) -> None:
    found = NodeFindings(
        node_name="n",
        percent=100,
        memory_total_bytes=1 << 30,
        swap_total_bytes=0,
        **numbers,  # type: ignore[arg-type]
    )
    (problem,) = node_problems(found)
    assert problem.word == word
    assert said in problem.fix


def test_swap_that_is_counted_later_is_limited_then(node: FakeNode) -> None:
    path = node.start("a")
    node.file(path, "memory.swap.max").unlink()
    agent = node.agent(mode="Enforce")
    node.tick(agent)
    node.file(path, "memory.swap.max").write_text("max\n")
    node.tick(agent)
    node.tick(agent)
    assert node.limit(path) == str(128 * MI)
    assert agent.values()["containers_without_swap_accounting"] == 0
