import gc
import logging
import os
import tracemalloc

import msgspec
import pytest

from overbook.core.pressure.ruleset import DEFAULT_RULESET
from overbook.kernel.cgroup_version import check_cgroup2
from overbook.kernel.files import KernelFileError
from overbook_sandbox.fakes.kernel_files import make_cgroup, pod_path, remove_cgroup
from tests.agent.fake_node import MI, FakeNode, uid_of

HOT = ("memory.current", "memory.stat", "memory.swap.current", "memory.swap.max", "memory.pressure")


@pytest.mark.parametrize(
    "content", ["", "max\n", "12", "lots\n", "-5\n", "anon\n", "\x00" * 40, "9" * 30 + "\n"]
)
@pytest.mark.parametrize("name", HOT)
def test_a_malformed_file_affects_its_container_only(
    node: FakeNode, caplog: pytest.LogCaptureFixture, name: str, content: str
) -> None:
    odd, good = node.start("odd", memory_swap_max=None), node.start("good", memory_swap_max=None)
    agent = node.agent()
    node.file(odd, name).write_text(content)
    for _ in range(3):
        node.tick(agent)
    assert node.limit(good) == str(128 * MI)
    assert agent.metrics.failed_ticks == 0
    assert agent.healthy()
    assert len([message for message in caplog.messages if name in message]) <= 1


@pytest.mark.parametrize("name", HOT)
def test_a_missing_container_file_does_not_stop_the_tick(node: FakeNode, name: str) -> None:
    odd, good = node.start("odd", memory_swap_max=None), node.start("good", memory_swap_max=None)
    node.file(odd, name).unlink()
    agent = node.agent()
    node.tick(agent)
    assert node.limit(good) == str(128 * MI)
    assert agent.metrics.failed_ticks == 0


def test_a_kernel_without_swap_accounting_still_shows_memory(node: FakeNode) -> None:
    path = node.start("vm", memory_current=300 * MI)
    node.file(path, "memory.swap.current").unlink()
    node.file(path, "memory.swap.max").unlink()
    agent = node.agent()
    node.tick(agent)
    assert b'overbook_pod_working_set_bytes{pod="demo/vm"} 314572800' in agent.metrics.render({})


def test_a_container_that_ends_before_its_reading_is_left_out(node: FakeNode) -> None:
    path, good = node.start("vm"), node.start("good", memory_swap_max=None)
    agent = node.agent()
    node.tick(agent)
    held = agent.collector.containers[uid_of("vm")]["compute"]
    for name in HOT:  # the directory is still listed, its files are gone
        node.file(path, name).write_bytes(b"")
        node.file(path, name).unlink()
    node.tick(agent)
    remove_cgroup(node.root, path)
    node.tick(agent)
    assert held.cgroup._fd == -1
    assert uid_of("vm") not in agent.collector.containers or not agent.collector.containers[uid_of("vm")]
    assert node.limit(good) == str(128 * MI)
    assert agent.metrics.failed_ticks == 0


@pytest.mark.parametrize("name", ["vmstat", "pressure/memory", "swaps"])
@pytest.mark.parametrize("content", [None, "", "nonsense\n"])
def test_a_missing_or_malformed_node_file_is_logged_once(
    node: FakeNode, caplog: pytest.LogCaptureFixture, name: str, content: str | None
) -> None:
    path = node.start("vm", memory_swap_max=None)
    agent = node.agent()
    file = node.root / "proc" / name
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    for _ in range(4):
        node.tick(agent)
    assert node.limit(path) == str(128 * MI)
    assert agent.metrics.failed_ticks == 0
    assert len([message for message in caplog.messages if name in message]) <= 1


def test_unreadable_node_memory_fails_ticks_until_it_is_back(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    agent = node.agent()
    node.tick(agent)
    (node.root / "proc/meminfo").write_text("")
    for _ in range(20):
        node.tick(agent)
    assert agent.metrics.failed_ticks == 20
    assert not agent.healthy()
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "meminfo" in errors[0].getMessage()
    node.set()
    node.tick(agent)
    assert agent.healthy()


def test_a_node_without_swap_and_psi_is_collected(node: FakeNode) -> None:
    node.set(swap_total_bytes=0, swap_free_bytes=0)
    (node.root / "proc/pressure/memory").unlink()
    path = node.start("vm", memory_swap_max=None)
    node.file(path, "memory.pressure").unlink()
    agent = node.agent()
    node.tick(agent)
    assert node.limit(path) == "0"
    assert agent.healthy()


def test_hundreds_of_dead_cgroups_are_passed_over(node: FakeNode) -> None:
    path = node.start("vm", memory_swap_max=None)
    for number in range(400):
        make_cgroup(node.root, pod_path(uid_of(f"dead{number}"), "Burstable"), {"cgroup.procs": ""})
    agent = node.agent()
    node.tick(agent)
    assert node.limit(path) == str(128 * MI)
    assert agent.values()["containers"] == 1


def test_cgroup_version_1_is_refused_with_the_fix(node: FakeNode) -> None:
    (node.root / "sys/fs/cgroup/cgroup.controllers").unlink()
    (node.root / "sys/fs/cgroup/memory").mkdir()
    with pytest.raises(KernelFileError, match=r"is cgroup version 1; .*systemd\.unified_cgroup_hierarchy=1"):
        check_cgroup2(node.root)


def test_the_tree_of_cgroups_may_be_empty_or_missing(node: FakeNode) -> None:
    agent = node.agent()
    node.tick(agent)
    (node.root / "sys/fs/cgroup").rename(node.root / "sys/fs/elsewhere")
    node.tick(agent)
    assert agent.metrics.failed_ticks == 0


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_no_descriptor_is_lost_while_containers_come_and_go(node: FakeNode) -> None:
    agent = node.agent()
    node.tick(agent)
    for number in range(10):
        node.start(f"warm{number}")
    node.tick(agent)
    before = descriptors()
    for number in range(60):
        path = node.start(f"vm{number}")
        node.tick(agent)
        remove_cgroup(node.root, path)
        os.unlink(node.manifests / f"vm{number}.json")
        if number % 3 == 0:
            node.tick(agent)
    node.tick(agent)
    assert descriptors() == before
    agent.stop()
    assert descriptors() < before


def test_memory_does_not_grow_with_time(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # what is captured would grow
    for number in range(5):
        node.start(f"vm{number}", memory_current=600 * MI, memory_swap_max=None)
    node.set(mem_available_bytes=0, swap_free_bytes=0)  # occupancy holds all the time
    agent = node.agent(ruleset=msgspec.structs.replace(DEFAULT_RULESET, settle_seconds=0))

    def ticks(count: int) -> int:
        for number in range(count):
            if number % 10 == 0:
                path = node.run(f"guest{number % 50}")
            node.tick(agent)
            if number % 10 == 5:
                remove_cgroup(node.root, path)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        warm = ticks(800)
        full = len(agent.journal.decisions)
        assert ticks(1200) - warm < 64 * 1024
    finally:
        tracemalloc.stop()
    assert len(agent.journal.decisions) == full == 256
