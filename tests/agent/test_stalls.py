"""The pods' stalls are read as seldom as is exact, and never of another pod."""

import os
import pathlib
import shutil
from collections.abc import Iterator

import pytest

from overbook.agent.stalls import UNKNOWN, StallReader
from overbook.kernel.cgroup_directory import KeptFiles
from overbook.kernel.files import KernelFileError
from overbook.kernel.kubepods import PodCgroup
from overbook_sandbox.fakes.kernel_files import container_files, make_cgroup, pod_path, pressure_file
from tests.agent.fake_node import FakeNode, uid_of


class Pods:
    """Pods' cgroups with their pressure files, and a reader of them."""

    def __init__(self, root: pathlib.Path, kept: KeptFiles) -> None:
        self.root = root
        self.kept = kept
        self.complaints: list[KernelFileError] = []
        self.reader = StallReader(str(root), kept, self.complaints.append)

    def path(self, name: str) -> pathlib.Path:
        return self.root / "sys/fs/cgroup" / pod_path(uid_of(name), "Burstable")

    def stall(self, name: str, some: int, full: int) -> None:
        self.path(name).joinpath("memory.pressure").write_text(pressure_file(some, full))

    def make(self, name: str, some: int = 0, full: int = 0) -> PodCgroup:
        make_cgroup(
            self.root,
            pod_path(uid_of(name), "Burstable"),
            container_files(some_micros=some, full_micros=full),
        )
        return self.found(name)

    def found(self, name: str) -> PodCgroup:
        return PodCgroup(
            uid_of(name), "Burstable", pod_path(uid_of(name), "Burstable"), self.path(name).stat().st_ino
        )


@pytest.fixture
def pods(tmp_path: pathlib.Path) -> Iterator[Pods]:
    pods = Pods(tmp_path, KeptFiles(100))
    yield pods
    pods.reader.close()
    assert pods.kept.count == 0


def test_a_pods_stall_is_read_from_a_file_kept_open(pods: Pods) -> None:
    found = pods.make("vm", 500, 300)
    for number in range(3):
        pods.stall("vm", 500 + number, 300)
        pods.reader.start(number)
        assert pods.reader.read(found) == (500 + number, 300)
    assert pods.kept.count == 1
    pods.reader.keep({})
    assert pods.kept.count == 0


def test_no_stall_is_read_while_the_node_does_not_stall(pods: Pods) -> None:
    found, late = pods.make("vm", 500, 300), pods.make("late", 7, 7)
    pods.reader.start(1000)
    assert pods.reader.read(found) == (500, 300)
    pods.stall("vm", 900, 900)
    pods.reader.start(1000)
    assert pods.reader.read(found) == (500, 300)  # a kernel's file would still say the same
    assert pods.reader.read(late) == (7, 7)  # it was never read
    pods.reader.start(1001)
    assert pods.reader.read(found) == (900, 900)


def test_stalls_are_read_where_the_nodes_own_is_not_known(pods: Pods) -> None:
    found = pods.make("vm", 1, 1)
    for number in (1, 2, 3):
        pods.stall("vm", number, number)
        pods.reader.start(None)
        assert pods.reader.read(found) == (number, number)


def test_a_kernel_without_pods_pressure_is_looked_at_once(pods: Pods) -> None:
    found = pods.make("vm")
    pods.path("vm").joinpath("memory.pressure").unlink()
    pods.reader.start(1)
    assert pods.reader.read(found) == UNKNOWN
    pods.stall("vm", 5, 5)
    pods.reader.start(2)
    assert pods.reader.read(found) == UNKNOWN  # not looked at again
    assert not pods.complaints


def test_a_pod_without_pressure_leaves_the_others_theirs(pods: Pods) -> None:
    # The file is gone where somebody wrote 0 to `cgroup.pressure`.
    silent, found = pods.make("silent"), pods.make("vm", 5, 5)
    pods.path("silent").joinpath("memory.pressure").unlink()
    for number in (1, 2):
        pods.reader.start(number)
        assert pods.reader.read(silent) == UNKNOWN
        assert pods.reader.read(found) == (5, 5)


@pytest.mark.parametrize("node_stalls", [True, False])
def test_a_replaced_pod_has_its_own_stall(pods: Pods, node_stalls: bool) -> None:
    found = pods.make("vm", 5000, 4000)
    pods.reader.start(1)
    pods.reader.read(found)
    kept = pods.path("vm").rename(pods.root / "before")  # so that its inode is not used again
    replaced = pods.make("vm", 3, 2)
    assert replaced.inode != found.inode
    pods.reader.start(2 if node_stalls else 1)
    assert pods.reader.read(replaced) == (3, 2)
    assert pods.kept.count == 1
    shutil.rmtree(kept)


def test_a_pod_that_just_ended_has_no_stall(pods: Pods) -> None:
    found, other = pods.make("vm", 5, 5), pods.make("other", 6, 6)
    pods.reader.start(1)
    pods.reader.read(found)
    for name in os.listdir(pods.path("vm")):
        os.truncate(pods.path("vm") / name, 0)
    shutil.rmtree(pods.path("vm"))
    pods.reader.start(2)
    assert pods.reader.read(found) == UNKNOWN
    assert pods.reader.read(other) == (6, 6)
    assert not pods.complaints


def test_a_malformed_pressure_file_is_complained_about(pods: Pods) -> None:
    found = pods.make("vm")
    pods.path("vm").joinpath("memory.pressure").write_text("nonsense\n")
    pods.reader.start(1)
    assert pods.reader.read(found) == UNKNOWN
    assert len(pods.complaints) == 1


def test_stalls_are_read_beyond_the_budget_of_kept_files(tmp_path: pathlib.Path) -> None:
    pods = Pods(tmp_path, KeptFiles(2))
    found = [pods.make(f"vm{number}", number, number) for number in range(5)]
    for moment in (1, 2):
        pods.reader.start(moment)
        assert [pods.reader.read(pod) for pod in found] == [(number, number) for number in range(5)]
    assert pods.kept.count == 2
    pods.reader.close()
    assert pods.kept.count == 0


def test_the_sample_has_the_stall_and_the_swap_cache_of_pods(node: FakeNode) -> None:
    node.start("vm", memory_swap_max=None, memory_stat={"anon": 100, "swapcached": 4096})
    make_cgroup(
        node.root, pod_path(uid_of("vm"), "Burstable"), container_files(some_micros=77, full_micros=44)
    )
    agent = node.agent()
    node.tick(agent)
    pod = agent.engine.situation.history.newest.pods[0]
    assert (pod.stall_some_micros, pod.stall_full_micros) == (77, 44)
    assert pod.containers[0].swap_cached_bytes == 4096
    agent.stop()
