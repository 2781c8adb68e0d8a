import json
import logging
import os
from typing import Any

import pytest

from overbook.core.overcommit.allowance import SwapPolicy
from overbook.core.overcommit.swap import SWAP_LABEL
from overbook_sandbox.fakes.kernel_files import container_files, make_cgroup, remove_cgroup
from tests.agent.fake_node import MI, FakeNode, uid_of

PROPORTIONAL = str(128 * MI)  # 256 MiB of 1 GiB asked for: a quarter of 512 MiB


def test_only_containers_with_an_allowance_get_swap(node: FakeNode) -> None:
    guest = node.start("vm", memory_swap_max=None)
    node.describe("paid", limit="256Mi")
    node.describe("web", virtual=False)
    paid, web = node.run("paid", memory_swap_max=None), node.run("web", memory_swap_max=None)
    agent = node.agent()
    node.tick(agent)
    assert [node.limit(path) for path in (guest, paid, web)] == [PROPORTIONAL, "0", "0"]


@pytest.mark.parametrize(
    ("allowance", "expected"), [("proportional", 128), ("whole", 512 * 3 // 5), ("pooled", 256)]
)
def test_the_allowance_is_the_one_that_was_chosen(node: FakeNode, allowance: Any, expected: float) -> None:
    node.describe("a", limit="1Gi")  # 768 MiB beyond its request
    node.describe("b", limit="768Mi")  # 512 MiB
    first, second = node.run("a"), node.run("b")
    agent = node.agent(swap=SwapPolicy(allowance=allowance))
    node.tick(agent)
    assert int(node.limit(first)) == pytest.approx(expected * MI, abs=2 * MI)
    assert int(node.limit(first)) % 4096 == 0
    if allowance == "whole":
        assert int(node.limit(second)) == pytest.approx(512 * MI * 2 // 5, abs=2 * MI)


def test_a_changed_limit_is_restored_and_the_third_time_logged(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    path = node.start("vm", memory_swap_max=None)
    agent = node.agent()
    node.tick(agent)
    caplog.clear()
    for _ in range(6):
        node.file(path, "memory.swap.max").write_text("4096\n")
        node.tick(agent)
        assert node.limit(path) == PROPORTIONAL
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    sentence = "memory.swap.max of demo/vm/compute is written by another program too"
    assert warnings == [f"{sentence}; the agent sets it again each time"]
    assert agent.values()["swap_limits_corrected_total"] == 6
    node.tick(agent)
    assert agent.values()["swap_limits_written_total"] == 7


def test_a_change_to_an_initially_right_limit_counts(node: FakeNode) -> None:
    path = node.start("vm", memory_swap_max=128 * MI)
    agent = node.agent()
    node.tick(agent)
    assert agent.values()["swap_limits_written_total"] == 0
    node.file(path, "memory.swap.max").write_text("max\n")
    node.tick(agent)
    assert agent.values()["swap_limits_corrected_total"] == 1


def test_an_undescribed_pod_keeps_its_limit(node: FakeNode) -> None:
    path = node.run("stranger", memory_swap_max=None)
    agent = node.agent()
    for _ in range(3):
        node.tick(agent)
    assert node.limit(path) == "max"


def test_a_pod_described_later_gets_its_limit(node: FakeNode) -> None:
    path = node.run("vm", memory_swap_max=None)
    agent = node.agent()
    node.tick(agent)
    node.describe("vm")
    node.tick(agent)
    node.tick(agent)
    assert node.limit(path) == PROPORTIONAL


@pytest.mark.parametrize(
    ("on_exit", "after"), [("Restore", ["max", "4096", "0"]), ("Leave", [PROPORTIONAL] * 3)]
)
def test_limits_are_restored_or_left_on_exit_as_configured(
    node: FakeNode, on_exit: Any, after: list[str]
) -> None:
    paths = [node.start("a", memory_swap_max=None), node.start("b", memory_swap_max=4096)]
    paths.append(node.start("c", memory_swap_max=0))
    agent = node.agent(on_exit=on_exit)
    node.tick(agent)
    node.file(paths[0], "memory.swap.max").write_text("8192\n")  # what others wrote since does not stay
    node.tick(agent)
    agent.stop()
    assert [node.limit(path) for path in paths] == after


def test_a_pod_unknown_for_a_while_is_still_restored(node: FakeNode) -> None:
    path = node.start("vm", memory_swap_max=None)
    agent = node.agent(on_exit="Restore")
    node.tick(agent)
    text = (node.manifests / "vm.json").read_text()
    (node.manifests / "vm.json").unlink()
    node.tick(agent)
    node.tick(agent)
    (node.manifests / "vm.json").write_text(text)
    node.tick(agent)
    agent.stop()
    assert node.limit(path) == "max"


def test_crun_container_has_both_cgroups_limited_and_restored(node: FakeNode) -> None:
    path = node.start("vm", memory_swap_max=None, runtime="crio")
    inner = make_cgroup(node.root, f"{path}/container", container_files(memory_swap_max=8192))
    agent = node.agent(on_exit="Restore")
    node.tick(agent)
    assert [node.limit(path), node.limit(inner)] == [PROPORTIONAL] * 2
    agent.stop()
    assert [node.limit(path), node.limit(inner)] == ["max", "8192"]


def test_cruns_late_inner_cgroup_is_noticed(node: FakeNode) -> None:
    path = node.start("vm", memory_swap_max=None, runtime="crio")
    agent = node.agent()
    node.tick(agent)
    inner = make_cgroup(node.root, f"{path}/container", container_files(memory_swap_max=0))
    node.file(path, "memory.swap.max").write_text("max\n")
    node.tick(agent)
    assert node.limit(inner) == PROPORTIONAL


def test_a_recreated_container_of_one_name_is_another(node: FakeNode) -> None:
    path = node.start("vm", memory_swap_max=8192)
    agent = node.agent(on_exit="Restore")
    node.tick(agent)
    hold = os.open(node.file(path, "."), os.O_RDONLY)  # keeps the inode number from being given again
    remove_cgroup(node.root, path)
    node.run("vm", memory_swap_max=None)
    node.tick(agent)
    assert node.limit(path) == PROPORTIONAL
    assert agent.values()["swap_limits_corrected_total"] == 0
    agent.stop()
    os.close(hold)
    assert node.limit(path) == "max"


def test_pod_status_tells_a_restart_from_the_dead_container(node: FakeNode) -> None:
    path = node.describe("vm")
    pod = json.loads(path.read_text())
    running = {"name": "compute", "containerID": f"containerd://{1:064x}"}
    pod["status"] = {"phase": "Running", "containerStatuses": [running]}
    path.write_text(json.dumps(pod))
    dead, alive = node.run("vm", 0, memory_swap_max=None), node.run("vm", 1, memory_swap_max=None)
    agent = node.agent()
    node.tick(agent)
    assert [node.limit(dead), node.limit(alive)] == ["max", PROPORTIONAL]


def test_changed_swap_or_memory_changes_the_allowances(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = node.start("vm", memory_swap_max=None)
    agent = node.agent()
    node.tick(agent)
    node.set(swap_total_bytes=256 * MI, swap_free_bytes=256 * MI)  # a device is gone
    node.tick(agent)
    assert node.limit(path) == str(64 * MI)
    assert "the node now has 1024 MiB of RAM and 256 MiB of swap" in caplog.messages
    node.set(mem_total_bytes=4 << 30)
    node.tick(agent)
    assert node.limit(path) == str(16 * MI)
    node.set(swap_total_bytes=0, swap_free_bytes=0)
    node.tick(agent)
    assert node.limit(path) == "0"
    assert "no swap" in caplog.text


def test_changed_switches_of_pod_and_namespace_are_followed(node: FakeNode) -> None:
    guest, web = node.start("vm"), node.run("web")
    node.describe("web", virtual=False)
    agent = node.agent()
    node.tick(agent)
    assert [node.limit(guest), node.limit(web)] == [PROPORTIONAL, "0"]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}
    for word, expected in (("enabled", [PROPORTIONAL] * 2), ("disabled", ["0", "0"])):
        namespace["metadata"] = {"name": "demo", "labels": {SWAP_LABEL: word}}
        (node.manifests / "namespace.json").write_text(json.dumps(namespace))
        node.tick(agent)
        assert [node.limit(guest), node.limit(web)] == expected
    (node.manifests / "namespace.json").unlink()
    node.describe("vm", swap="disabled")
    node.tick(agent)
    assert node.limit(guest) == "0"


def test_a_refused_limit_is_logged_once_and_others_are_written(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = node.start("a", memory_swap_max=None), node.start("b", memory_swap_max=None)
    stuck = node.file(first, "memory.swap.max")
    stuck.unlink()
    stuck.symlink_to("/dev/full")  # writing fails; reading gives NULs without end, refused as well
    agent = node.agent()
    for _ in range(3):
        node.tick(agent)
    assert node.limit(second) == PROPORTIONAL
    assert len([message for message in caplog.messages if uid_of("a").replace("-", "_") in message]) == 1
