"""Without a usable ``Overcommit`` the agent changes nothing; the one last known holds over its restart."""

import os
from pathlib import Path

import pytest

from overbook.agent.agent import Agent
from overbook.agent.bridge import Bridge
from overbook.agent.last_overcommit import MOST_BYTES, PATH, LastOvercommit
from overbook.core.api.overcommit import OvercommitSpec, ReliefSpec, Unusable
from tests.agent.fake_node import MI, FakeNode
from tests.agent.test_ports import agent_of, hear, told

ENFORCED = OvercommitSpec(mode="Enforce", percentage=150, relief=ReliefSpec(per_cluster=7))


def started(node: FakeNode) -> tuple[Agent, Bridge]:
    agent, bridge = agent_of(node)
    bridge.update_pods(told("vm"))
    return agent, bridge


def silent(node: FakeNode, agent: Agent, ticks: int = 12) -> None:
    """Let the API server stay silent for longer than the agent waits for it."""
    for _ in range(ticks):
        node.tick(agent)


def problems(bridge: Bridge) -> list[str]:
    assert bridge.report is not None
    return [problem.word for problem in bridge.report.status.problems]


def test_an_agent_that_never_read_the_api_observes(node: FakeNode) -> None:
    path = node.run("vm", memory_swap_max=None)
    agent, bridge = started(node)
    silent(node, agent)
    bridge.update_own_known()
    node.tick(agent)
    assert node.limit(path) == "max"
    assert "OvercommitUnknown" in problems(bridge)
    assert bridge.report is not None
    assert bridge.report.status.mode == "Observe"
    agent.stop()


def test_the_last_word_holds_after_a_restart(node: FakeNode) -> None:
    path = node.run("vm", memory_swap_max=None)
    agent, bridge = started(node)
    hear(bridge, percentage=150)
    node.tick(agent)
    assert node.limit(path) == str(128 * MI)
    agent.stop()
    bridge.close()
    other = node.run("vm2", memory_swap_max=None)
    again, bridge = agent_of(node)
    bridge.update_pods(told("vm") | told("vm2"))
    node.tick(again)
    assert node.limit(other) == "max", "the API server is given time to answer first"
    silent(node, again)
    assert node.limit(other) == str(128 * MI)
    again.stop()


@pytest.mark.parametrize("spec", [{"paused": True}, {"mode": "Observe"}])
def test_a_pause_and_observe_hold_after_a_restart(node: FakeNode, spec: dict[str, object]) -> None:
    path = node.run("vm", memory_swap_max=None)
    agent, bridge = started(node)
    hear(bridge, **spec)
    node.tick(agent)
    agent.stop()
    bridge.close()
    again, _ = started(node)
    silent(node, again, 30)
    assert node.limit(path) == "max"
    again.stop()


@pytest.mark.parametrize("word", ["NoOvercommit", "OvercommitUnreadable"])
def test_an_unusable_overcommit_ends_all_changes(node: FakeNode, word: str) -> None:
    node.run("vm", memory_swap_max=None, memory_current=500 * MI)
    agent, bridge = started(node)
    hear(bridge, percentage=150)
    node.set(mem_available_bytes=0, swap_free_bytes=0)
    node.tick(agent)
    assert bridge.report is not None
    assert (bridge.report.tainted, bridge.report.status.request is None) == (True, False)
    bridge.update_overcommit(Unusable(word, "spec.mode: Invalid enum value 'Suggest'"))  # type: ignore[arg-type]
    agent.take_news()
    late = node.run("late", memory_swap_max=None)
    bridge.update_pods(told("vm") | told("late"))
    node.tick(agent)
    report = bridge.report
    assert (report.tainted, report.status.request, report.status.mode) == (False, None, "Observe")
    assert problems(bridge)[0] == word
    assert node.limit(late) == "max"
    assert agent.cluster.posture.percent == 150  # type: ignore[union-attr]
    assert agent.cluster.values()["overcommit_usable"] == 0
    agent.stop()
    bridge.close()
    again, _ = agent_of(node)
    silent(node, again)
    assert node.limit(late) == "max", "what was unusable stays so over a restart"
    again.stop()
    hear_again, bridge = started(node)
    hear(bridge, percentage=150)
    node.tick(hear_again)
    assert hear_again.cluster.values()["overcommit_usable"] == 1
    hear_again.stop()


def test_the_file_is_whole_and_its_owners_alone(tmp_path: Path) -> None:
    last = LastOvercommit(str(tmp_path), "n")
    assert last.read() is None
    last.keep(ENFORCED)
    assert (tmp_path / PATH).stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path / "run/overbook") == ["overcommit.json"]
    assert LastOvercommit(str(tmp_path), "n").read() == ENFORCED


def test_a_cut_file_counts_as_absent(tmp_path: Path) -> None:
    LastOvercommit(str(tmp_path), "n").keep(ENFORCED)
    path = tmp_path / PATH
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert LastOvercommit(str(tmp_path), "n").read() is None
    path.write_bytes(whole)
    assert LastOvercommit(str(tmp_path), "n").read() == ENFORCED


@pytest.mark.parametrize(
    "lie",
    [
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b'{"node":"n"}',
        b'{"node":"n","spec":null}',
        b'{"node":"n","spec":{"mode":"Suggest"}}',
        b'{"node":"n","spec":{"mode":"Enforce","percentage":1000000000}}',
        b'{"node":"n","spec":{"mode":"Enforce","percentage":-1}}',
        b'{"node":"n","spec":{"mode":"Enforce","paused":"no"}}',
        b'{"node":"other","spec":{"mode":"Enforce"}}',
        b'{"node":"n","spec":{"mode":"Enforce"},"more":1}',
        b'{"node":"n","spec":{"mode":"Enforce"}} trailing',
        b" " * MOST_BYTES + b'{"node":"n","spec":{"mode":"Enforce"}}',
    ],
)
def test_a_lying_file_counts_as_absent(tmp_path: Path, lie: bytes) -> None:
    last = LastOvercommit(str(tmp_path), "n")
    last.keep(ENFORCED)
    (tmp_path / PATH).write_bytes(lie)
    assert last.read() is None


def test_a_file_that_others_may_write_counts_as_absent(tmp_path: Path) -> None:
    last, path = LastOvercommit(str(tmp_path), "n"), tmp_path / PATH
    last.keep(ENFORCED)
    for mode in (0o620, 0o602, 0o666):
        path.chmod(mode)
        assert last.read() is None
    path.chmod(0o600)
    whole = path.rename(tmp_path / "elsewhere")
    path.symlink_to(whole)
    assert last.read() is None
    path.unlink()
    path.mkdir()
    assert last.read() is None
    path.rmdir()
    os.mkfifo(path, 0o600)
    assert last.read() is None


def test_a_file_that_cannot_be_written_does_not_lie(tmp_path: Path) -> None:
    last = LastOvercommit(str(tmp_path), "n")
    last.keep(ENFORCED)
    (tmp_path / f"{PATH}.new").mkdir()  # nothing can be written there
    last.keep(OvercommitSpec())
    assert last.read() is None


def test_a_first_agent_follows_the_api_at_once(node: FakeNode) -> None:
    path = node.run("vm", memory_swap_max=None)
    agent, bridge = started(node)
    hear(bridge, percentage=150)
    node.tick(agent)
    assert node.limit(path) == str(128 * MI)
    agent.stop()
