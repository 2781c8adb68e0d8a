import json
import logging
import os
from typing import Any

import pytest

from overbook.core.overcommit.allowance import SwapPolicy
from overbook.core.overcommit.swap import SWAP_ANNOTATION
from overbook_sandbox.fakes.kernel_files import container_files, make_cgroup, remove_cgroup
from tests.agent.fake_node import MI, FakeNode, uid_of

PROPORTIONAL = str(128 * MI)  # 256 MiB of 1 GiB asked for: a quarter of 512 MiB


def test_each_container_gets_its_allowance_and_who_has_none_gets_no_swap(node: FakeNode) -> None:
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


def test_a_limit_that_something_else_changes_is_put_back_and_said_after_three_times(
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
    assert warnings == [
        "memory.swap.max of demo/vm/compute is written by something else too; it is put back each time"
    ]
    assert agent.values()["swap_limits_corrected_total"] == 6
    node.tick(agent)
    assert agent.values()["swap_limits_written_total"] == 7


def test_a_limit_that_was_right_from_the_start_counts_as_changed_by_others_too(node: FakeNode) -> None:
    path = node.start("vm", memory_swap_max=128 * MI)
    agent = node.agent()
    node.tick(agent)
    assert agent.values()["swap_limits_written_total"] == 0
    node.file(path, "memory.swap.max").write_text("max\n")
    node.tick(agent)
    assert agent.values()["swap_limits_corrected_total"] == 1


def test_a_pod_that_nobody_described_keeps_its_limit(node: FakeNode) -> None:
    path = node.run("stranger", memory_swap_max=None)
    agent = node.agent()
    for _ in range(3):
        node.tick(agent)
    assert node.limit(path) == "max"


def test_the_limit_of_a_pod_described_later_follows(node: FakeNode) -> None:
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
def test_on_exit_limits_are_restored_or_left_as_configured(
    node: FakeNode, on_exit: Any, after: list[str]
) -> None:
    paths = [node.start("a", memory_swap_max=None), node.start("b", memory_swap_max=4096)]
    paths.append(node.start("c", memory_swap_max=0))
    agent = node.agent(on_exit=on_exit)
    node.tick(agent)
    node.file(paths[0], "memory.swap.max").write_text("8192\n")  # what others wrote since is not ours to keep
    node.tick(agent)
    agent.stop()
    assert [node.limit(path) for path in paths] == after


def test_a_pod_that_was_unknown_for_a_while_is_restored_all_the_same(node: FakeNode) -> None:
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


def test_both_cgroups_of_a_container_run_by_crun_are_limited_and_restored(node: FakeNode) -> None:
    path = node.start("vm", memory_swap_max=None, runtime="crio")
    inner = make_cgroup(node.root, f"{path}/container", container_files(memory_swap_max=8192))
    agent = node.agent(on_exit="Restore")
    node.tick(agent)
    assert [node.limit(path), node.limit(inner)] == [PROPORTIONAL] * 2
    agent.stop()
    assert [node.limit(path), node.limit(inner)] == ["max", "8192"]


def test_the_inner_cgroup_that_crun_makes_after_the_outer_is_noticed(node: FakeNode) -> None:
    path = node.start("vm", memory_swap_max=None, runtime="crio")
    agent = node.agent()
    node.tick(agent)
    inner = make_cgroup(node.root, f"{path}/container", container_files(memory_swap_max=0))
    node.file(path, "memory.swap.max").write_text("max\n")
    node.tick(agent)
    assert node.limit(inner) == PROPORTIONAL


def test_a_container_made_anew_under_the_same_name_is_another_one(node: FakeNode) -> None:
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


def test_a_restart_beside_the_dead_container_is_told_apart_by_the_pods_status(node: FakeNode) -> None:
    path = node.describe("vm")
    pod = json.loads(path.read_text())
    running = {"name": "compute", "containerID": f"containerd://{1:064x}"}
    pod["status"] = {"phase": "Running", "containerStatuses": [running]}
    path.write_text(json.dumps(pod))
    dead, alive = node.run("vm", 0, memory_swap_max=None), node.run("vm", 1, memory_swap_max=None)
    agent = node.agent()
    node.tick(agent)
    assert [node.limit(dead), node.limit(alive)] == ["max", PROPORTIONAL]


def test_swap_that_shrinks_or_memory_that_grows_gives_other_allowances(
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


def test_annotations_of_pods_and_namespaces_are_followed_when_they_change(node: FakeNode) -> None:
    guest, web = node.start("vm"), node.run("web")
    node.describe("web", virtual=False)
    agent = node.agent()
    node.tick(agent)
    assert [node.limit(guest), node.limit(web)] == [PROPORTIONAL, "0"]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}
    for word, expected in (("enabled", [PROPORTIONAL] * 2), ("disabled", ["0", "0"])):
        namespace["metadata"] = {"name": "demo", "annotations": {SWAP_ANNOTATION: word}}
        (node.manifests / "namespace.json").write_text(json.dumps(namespace))
        node.tick(agent)
        assert [node.limit(guest), node.limit(web)] == expected
    (node.manifests / "namespace.json").unlink()
    node.describe("vm", swap="disabled")
    node.tick(agent)
    assert node.limit(guest) == "0"


def test_what_the_kernel_refuses_is_said_once_and_the_others_get_their_limits(
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
