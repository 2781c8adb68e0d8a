"""The cgroups above pods that have a limit: read each tick, seen by the engine, gone when they are gone."""

import pathlib

import pytest

from overbook.agent.agent import Agent
from overbook.core.pressure.sample import LimitSample
from overbook_sandbox.fakes.kernel_files import container_files, make_cgroup, pod_path, remove_cgroup
from tests.agent.fake_node import GI, MI, FakeNode, uid_of

TOP, BURSTABLE = "kubepods.slice", "kubepods.slice/kubepods-burstable.slice"


def limits(agent: Agent) -> dict[str, LimitSample]:
    return {limit.path: limit for limit in agent.engine.history.newest.limits}


def test_a_node_without_limits_has_none_in_its_sample(node: FakeNode) -> None:
    node.start("vm")
    agent = node.agent()
    node.tick(agent)
    assert agent.engine.history.newest.limits == ()
    assert agent.engine.history.newest.pods[0].below is None


def test_a_limited_kubepods_is_read_with_what_is_in_use(node: FakeNode) -> None:
    node.start("vm")
    make_cgroup(
        node.root,
        TOP,
        container_files(
            memory_max=600 * MI,
            memory_current=590 * MI,
            memory_swap_current=7,
            memory_swap_max=None,
            memory_stat={"inactive_file": 5, "active_file": 6, "swapcached": 7, "workingset_refault_anon": 8},
            some_micros=9,
            full_micros=10,
        ),
    )
    agent = node.agent()
    node.tick(agent)
    found = limits(agent)[TOP]
    assert found == LimitSample(TOP, "kubepods", 600 * MI, 590 * MI, None, 7, 5, 6, 0, 7, 8, 9, 10)
    assert agent.engine.history.newest.pods[0].below == TOP


def test_the_lower_of_max_and_high_is_the_limit(node: FakeNode) -> None:
    node.start("vm")
    make_cgroup(node.root, BURSTABLE, container_files(memory_max=600 * MI, memory_swap_max=None))
    node.file(BURSTABLE, "memory.high").write_text(f"{500 * MI}\n")
    agent = node.agent()
    node.tick(agent)
    assert (limits(agent)[BURSTABLE].kind, limits(agent)[BURSTABLE].memory_max_bytes) == (
        "Burstable",
        500 * MI,
    )


@pytest.mark.parametrize("path", ["", TOP, BURSTABLE])
def test_every_ancestor_that_limits_swap_is_read(node: FakeNode, path: str) -> None:
    node.start("vm")
    (node.root / "sys/fs/cgroup" / path / "memory.swap.max").write_text("0\n")
    agent = node.agent()
    node.tick(agent)
    assert limits(agent)[path].swap_max_bytes == 0
    assert agent.engine.situation.swap_rooms.least(BURSTABLE) == 0


def test_a_pods_own_cgroup_that_limits_swap_is_read(node: FakeNode) -> None:
    node.start("vm")
    path = pod_path(uid_of("vm"), "Burstable")
    make_cgroup(node.root, path, {"memory.swap.max": "4096\n", "memory.swap.current": "0\n"})
    agent = node.agent()
    node.tick(agent)
    assert (limits(agent)[path].kind, agent.engine.history.newest.pods[0].below) == ("pod", path)


def test_a_limit_that_is_lifted_is_gone_from_the_sample(node: FakeNode) -> None:
    node.start("vm")
    make_cgroup(node.root, TOP, container_files(memory_max=600 * MI, memory_swap_max=None))
    agent = node.agent()
    node.tick(agent)
    node.file(TOP, "memory.max").write_text("max\n")
    node.tick(agent)
    assert limits(agent) == {}
    assert agent.engine.history.newest.pods[0].below is None


def test_kubepods_that_goes_does_not_stop_the_tick(node: FakeNode) -> None:
    node.start("vm")
    make_cgroup(node.root, TOP, container_files(memory_max=600 * MI, memory_swap_max=None))
    agent = node.agent()
    node.tick(agent)
    remove_cgroup(node.root, TOP)
    node.tick(agent)
    node.start("other")
    make_cgroup(node.root, TOP, container_files(memory_max=500 * MI, memory_swap_max=None))
    node.tick(agent)
    assert limits(agent)[TOP].memory_max_bytes == 500 * MI
    assert agent.metrics.failed_ticks == 0


def test_a_malformed_limit_is_logged_once(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    node.start("vm")
    make_cgroup(node.root, TOP, {"memory.max": "lots\n"})
    agent = node.agent()
    for _ in range(3):
        node.tick(agent)
    assert len([message for message in caplog.messages if "memory.max" in message]) == 1


def test_a_full_kubepods_is_said_in_the_decision_and_the_metrics(node: FakeNode) -> None:
    node.start("vm", memory_current=590 * MI)
    make_cgroup(
        node.root, TOP, container_files(memory_max=600 * MI, memory_current=600 * MI, memory_swap_max=None)
    )
    agent = node.agent(mode="Observe")
    sentences = []
    for second in range(8):
        node.file(TOP, "memory.pressure").write_text(
            f"some avg10=0.00 avg60=0.00 avg300=0.00 total={second * 900_000}\n"
            f"full avg10=0.00 avg60=0.00 avg300=0.00 total={second * 700_000}\n"
        )
        decision = node.tick(agent)
        sentences += [decision.sentence] if decision else []
    assert sentences[0].startswith("kubepods is at its limit of 600Mi; the node itself has 512Mi: ")
    text = agent.metrics.render({})
    assert b'overbook_domain_limit_bytes{domain="kubepods.slice"} 629145600' in text
    assert b'overbook_domain_available_bytes{domain="kubepods.slice"} 0' in text


def test_huge_pages_are_no_part_of_the_share(node: FakeNode) -> None:
    node.start("vm")
    meminfo = pathlib.Path(node.root / "proc/meminfo")
    meminfo.write_text(meminfo.read_text() + f"{'Hugetlb:':<16}{GI // 2 >> 10:>8} kB\n")
    agent = node.agent()
    node.tick(agent)
    assert agent.engine.situation.node.memory_total_bytes == GI // 2
    text = agent.metrics.render({})
    assert b"overbook_node_memory_bytes 1073741824" in text
    assert b"overbook_node_hugetlb_bytes 536870912" in text
