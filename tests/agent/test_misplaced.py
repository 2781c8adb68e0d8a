"""Running pods that have no container cgroup are named once, with the place of their processes."""

import json

import pytest

from overbook.agent.agent import Agent
from overbook.agent.misplaced import AGAIN_SECONDS, FIRST_SECONDS, MisplacedPod
from overbook_sandbox.fakes.kernel_files import container_files, make_cgroup, pod_path
from tests.agent.fake_node import MI, FakeNode, uid_of

SLICE = f"kubepods-burstable-pod{uid_of('vm').replace('-', '_')}.slice"
ELSEWHERE = f"system.slice/{SLICE}:cri-containerd:{'ab' * 32}"


def misplaced(agent: Agent) -> tuple[MisplacedPod, ...]:
    assert agent._last_tick is not None
    return agent._last_tick.misplaced


def ticks(node: FakeNode, agent: Agent, seconds: float) -> None:
    for _ in range(int(seconds)):
        node.tick(agent)


@pytest.mark.parametrize(
    "path",
    [ELSEWHERE, ELSEWHERE.partition("/")[2], f"{pod_path(uid_of('vm'), 'Burstable')}/kata_{'ab' * 32}"],
)
def test_a_pod_elsewhere_is_named_once(node: FakeNode, caplog: pytest.LogCaptureFixture, path: str) -> None:
    node.describe("vm")
    make_cgroup(node.root, pod_path(uid_of("vm"), "Burstable"), {})
    make_cgroup(node.root, path, container_files(memory_current=900 * MI, pids=(4242,)))
    agent = node.agent()
    ticks(node, agent, FIRST_SECONDS + 2 * AGAIN_SECONDS)
    assert misplaced(agent) == (MisplacedPod("demo/vm", path),)
    said = [message for message in caplog.messages if "without a container cgroup" in message]
    assert said == [f"running pod without a container cgroup: demo/vm is in {path}"]
    assert agent.values()["pods_misplaced"] == 1


def test_a_pod_that_starts_is_not_missing(node: FakeNode) -> None:
    node.describe("vm")
    agent = node.agent()
    ticks(node, agent, FIRST_SECONDS - 1)
    node.run("vm")
    ticks(node, agent, 2 * AGAIN_SECONDS)
    assert misplaced(agent) == ()


def test_a_pod_that_comes_home_is_named_no_more(node: FakeNode) -> None:
    node.describe("vm")
    make_cgroup(node.root, ELSEWHERE, container_files(pids=(1,)))
    agent = node.agent()
    ticks(node, agent, FIRST_SECONDS + 2)
    assert misplaced(agent)
    node.run("vm")
    ticks(node, agent, 2)
    assert misplaced(agent) == ()


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
def test_a_pod_that_does_not_run_is_not_looked_for(node: FakeNode, phase: str) -> None:
    path = node.describe("vm")
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": {"phase": phase}}))
    make_cgroup(node.root, ELSEWHERE, container_files(pids=(1,)))
    agent = node.agent()
    ticks(node, agent, FIRST_SECONDS + 2)
    assert misplaced(agent) == ()


@pytest.mark.parametrize("old_first", [True, False])
def test_of_two_directories_of_a_pod_the_one_in_use_is_sampled(node: FakeNode, old_first: bool) -> None:
    node.describe("vm")
    new = f"kubepods/burstable/pod{uid_of('vm')}" if old_first else pod_path(uid_of("vm"), "Burstable")
    old = pod_path(uid_of("vm"), "Burstable") if old_first else f"kubepods/burstable/pod{uid_of('vm')}"
    make_cgroup(node.root, f"{old}/{'0' * 64}" if not old_first else old, {})
    name = "cd" * 32 if old_first else f"cri-containerd-{'cd' * 32}.scope"
    make_cgroup(node.root, f"{new}/{name}", container_files(memory_current=300 * MI, pids=(7,)))
    agent = node.agent()
    node.tick(agent)
    (pod,) = agent.engine.history.newest.pods
    assert [container.memory_current_bytes for container in pod.containers] == [300 * MI]
