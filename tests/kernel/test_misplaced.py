import pathlib

import pytest

from overbook.kernel.files import KernelFileError
from overbook.kernel.kubepods import PodScanner
from overbook.kernel.misplaced import find_misplaced, one_of_each, uid_in
from overbook_sandbox.fakes.kernel_files import (
    container_files,
    container_path,
    make_cgroup,
    make_node,
    pod_path,
)

UID = "7e81fefd-5daa-5bcd-befd-e19e15d90282"
SLICE = f"kubepods-burstable-pod{UID.replace('-', '_')}.slice"
ID = "ab" * 32
MISMATCH = f"{SLICE}:cri-containerd:{ID}"


def place(root: pathlib.Path, path: str, *, pids: tuple[int, ...] = (4242,), size: int = 1 << 20) -> str:
    return make_cgroup(root, path, container_files(memory_current=size, pids=pids))


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    make_node(tmp_path)
    make_cgroup(tmp_path, pod_path(UID, "Burstable"), {})
    return tmp_path


@pytest.mark.parametrize(
    "path",
    [
        f"system.slice/{MISMATCH}",
        MISMATCH,
        f"{pod_path(UID, 'Burstable')}/kata_{ID}",
        f"kubepods/burstable/pod{UID}/kata_{ID}",
        f"user.slice/user-1000.slice/user@1000.service/kubepods.slice/{SLICE}",
        f"a/b/c/d/e/kubepods/burstable/pod{UID}",
    ],
)
@pytest.mark.parametrize("asked", [None, (UID,)])
def test_processes_elsewhere_are_found(root: pathlib.Path, path: str, asked: tuple[str, ...] | None) -> None:
    place(root, path)
    (found,) = find_misplaced(root, asked)
    assert (found.uid, found.path, found.memory_bytes, found.populated) == (UID, path, 1 << 20, True)


def test_a_container_id_alone_names_its_pod(root: pathlib.Path) -> None:
    path = place(root, f"kata_overhead/{ID}")
    (found,) = find_misplaced(root, (UID,), containers={ID: UID})
    assert found.path == path
    assert not find_misplaced(root, (UID,))


def test_a_pod_in_its_own_cgroups_is_not_misplaced(root: pathlib.Path) -> None:
    place(root, container_path(UID, ID))
    place(root, f"{pod_path(UID, 'Burstable')}/crio-conmon-{ID}.scope")
    assert find_misplaced(root) == find_misplaced(root, (UID,)) == ()


@pytest.mark.parametrize("size", [0, 5 << 20])
def test_leftovers_do_not_hide_a_pod_elsewhere(root: pathlib.Path, size: int) -> None:
    place(root, container_path(UID, "0" * 64), pids=(), size=size)
    path = place(root, f"system.slice/{MISMATCH}")
    assert [found.path for found in find_misplaced(root)] == [path]


def test_leftovers_elsewhere_do_not_count(root: pathlib.Path) -> None:
    place(root, container_path(UID, ID))
    place(root, f"system.slice/{MISMATCH}", pids=(), size=50 << 20)
    assert find_misplaced(root) == ()


@pytest.mark.parametrize("name", [f"var-lib-kubelet-pod{UID}-volumes.mount", f"crio-conmon-pod{UID}.scope"])
def test_helpers_of_a_pod_are_not_its_processes(root: pathlib.Path, name: str) -> None:
    place(root, f"system.slice/{name}")
    assert find_misplaced(root) == ()


def test_processes_say_where_they_are(root: pathlib.Path) -> None:
    # The tree is not shown whole, as in a container with a cgroup namespace of its own.
    folder = root / "proc/77"
    folder.mkdir()
    (folder / "cgroup").write_text(f"0::/../../system.slice/{MISMATCH}\n")
    (found,) = find_misplaced(root, (UID,))
    assert (found.path, found.populated) == (f"system.slice/{MISMATCH}", True)


def test_a_node_without_cgroups_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(KernelFileError):
        find_misplaced(tmp_path)


def test_too_many_directories_are_an_error(root: pathlib.Path) -> None:
    for number in range(20):
        make_cgroup(root, f"system.slice/{number}.service", {})
    with pytest.raises(KernelFileError, match="leaks cgroups"):
        find_misplaced(root, directory_limit=10)


@pytest.mark.parametrize("first_in_use", [True, False])
def test_of_two_directories_of_a_pod_the_one_in_use_is_taken(
    tmp_path: pathlib.Path, first_in_use: bool
) -> None:
    make_node(tmp_path)
    old, new = container_path(UID, ID), container_path(UID, ID, driver="cgroupfs")
    place(tmp_path, old, pids=(1,) if first_in_use else ())
    place(tmp_path, new, pids=() if first_in_use else (1,))
    (pod,) = one_of_each(PodScanner(tmp_path).scan(), tmp_path).values()
    assert [container.path for container in pod.containers] == [old if first_in_use else new]


@pytest.mark.parametrize("name", ["system.slice", "pod", f"pod{UID}0", ID, "kubepods-burstable.slice"])
def test_other_names_are_about_no_pod(name: str) -> None:
    assert uid_in(name, {}) is None
