"""Pods and containers are found in a cgroup tree that changes all the time."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.kubepods import PodScanner
from overbook.kernel.kubepods_names import QosClass
from overbook_sandbox.fakes.kernel_files import (
    Driver,
    Runtime,
    container_path,
    make_cgroup,
    make_node,
    pod_path,
    remove_cgroup,
)


def uid(number: int) -> str:
    return f"{number:08x}-5a4b-4c3d-8e9f-a0b1c2d3e4f5"


def container_id(number: int) -> str:
    return f"{number:064x}"


@pytest.mark.parametrize("runtime", ["cri-containerd", "crio"])
@pytest.mark.parametrize("driver", ["systemd", "cgroupfs"])
@pytest.mark.parametrize("qos_class", ["Guaranteed", "Burstable", "BestEffort"])
def test_a_pod_with_two_containers_is_found(
    tmp_path: Path, driver: Driver, runtime: Runtime, qos_class: QosClass
) -> None:
    make_node(tmp_path)
    paths = [
        make_cgroup(tmp_path, container_path(uid(1), container_id(number), qos_class, driver, runtime))
        for number in (1, 2)
    ]

    (pod,) = PodScanner(tmp_path).scan()

    assert (pod.uid, pod.qos_class, pod.path) == (uid(1), qos_class, pod_path(uid(1), qos_class, driver))
    assert [container.path for container in pod.containers] == paths
    assert [container.leaf_path for container in pod.containers] == paths
    assert [container.id for container in pod.containers] == [container_id(1), container_id(2)]
    bare = driver == "cgroupfs" and runtime == "cri-containerd"
    assert {container.runtime for container in pod.containers} == {None if bare else runtime}


def test_cruns_inner_cgroup_is_found_when_it_comes_and_goes(tmp_path: Path) -> None:
    path = make_cgroup(tmp_path, container_path(uid(1), container_id(1), runtime="crio"))
    make_cgroup(tmp_path, path.replace("crio-", "crio-conmon-"))
    scanner = PodScanner(tmp_path)

    def leaves() -> list[str]:
        return [container.leaf_path for pod in scanner.scan() for container in pod.containers]

    assert leaves() == [path]
    make_cgroup(tmp_path, f"{path}/container")
    assert leaves() == [f"{path}/container"]
    assert leaves() == [f"{path}/container"]
    remove_cgroup(tmp_path, f"{path}/container")
    assert leaves() == [path]
    make_cgroup(tmp_path, f"{path}/something-else")
    assert leaves() == [path]
    os.rename(
        tmp_path / "sys/fs/cgroup" / path / "something-else", tmp_path / "sys/fs/cgroup" / path / "container"
    )
    assert leaves() == [f"{path}/container"]


@pytest.mark.parametrize(
    "prefix",
    [
        "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod",
        "my.slice/my-own.slice/my-own-kubepods.slice/my-own-kubepods-burstable.slice/my-own-kubepods-burstable-pod",
    ],
)
def test_a_cgroup_root_of_the_kubelets_own_is_scanned(tmp_path: Path, prefix: str) -> None:
    make_cgroup(tmp_path, f"{prefix}{uid(1).replace('-', '_')}.slice/cri-containerd-{container_id(1)}.scope")
    make_cgroup(tmp_path, f"system.slice/kubelet.service/kubepods/pod{uid(2)}")

    (pod,) = PodScanner(tmp_path).scan()

    assert (pod.uid, pod.qos_class, pod.path.startswith(prefix)) == (uid(1), "Burstable", True)
    assert len(pod.containers) == 1


@pytest.mark.parametrize(
    ("driver", "paths"),
    [
        ("cgroupfs", ["kubepods", "kubepods/besteffort", "kubepods/burstable"]),
        (
            "systemd",
            [
                "kubepods.slice",
                "kubepods.slice/kubepods-besteffort.slice",
                "kubepods.slice/kubepods-burstable.slice",
            ],
        ),
    ],
)
def test_class_cgroups_are_known_without_pods_in_them(
    tmp_path: Path, driver: Driver, paths: list[str]
) -> None:
    for path in paths:
        make_cgroup(tmp_path, path)
    make_cgroup(tmp_path, pod_path(uid(1), "Guaranteed", driver))
    scanner = PodScanner(tmp_path)

    scanner.scan()

    classes: list[QosClass] = ["Guaranteed", "BestEffort", "Burstable"]
    assert sorted(scanner.class_paths) == list(zip(paths, classes, strict=True))


def test_a_node_whose_driver_was_changed_has_pods_under_both(tmp_path: Path) -> None:
    make_cgroup(tmp_path, container_path(uid(1), container_id(1), driver="cgroupfs"))
    scanner = PodScanner(tmp_path)
    assert [pod.uid for pod in scanner.scan()] == [uid(1)]

    make_cgroup(tmp_path, container_path(uid(2), container_id(2), driver="systemd"))

    assert {pod.uid for pod in scanner.scan()} == {uid(1), uid(2)}


def test_unchanged_pods_are_not_made_again(tmp_path: Path) -> None:
    for number in range(3):
        make_cgroup(tmp_path, container_path(uid(number), container_id(number)))
    scanner = PodScanner(tmp_path)
    before = {pod.uid: pod for pod in scanner.scan()}

    make_cgroup(tmp_path, container_path(uid(1), container_id(9)))
    remove_cgroup(tmp_path, pod_path(uid(2), "Burstable"))
    after = {pod.uid: pod for pod in scanner.scan()}

    assert set(after) == {uid(0), uid(1)}
    assert after[uid(0)] is before[uid(0)]
    assert [container.id for container in after[uid(1)].containers] == [container_id(1), container_id(9)]


def test_a_restart_is_seen_with_an_equal_directory_count(tmp_path: Path) -> None:
    old = make_cgroup(tmp_path, container_path(uid(1), container_id(1)))
    scanner = PodScanner(tmp_path)
    scanner.scan()

    remove_cgroup(tmp_path, old)
    make_cgroup(tmp_path, container_path(uid(1), container_id(2)))

    assert [container.id for pod in scanner.scan() for container in pod.containers] == [container_id(2)]


def test_a_pod_recreated_under_its_name_has_another_inode(tmp_path: Path) -> None:
    path = make_cgroup(tmp_path, container_path(uid(1), container_id(1)))
    scanner = PodScanner(tmp_path)
    ((old,),) = (pod.containers for pod in scanner.scan())

    held = os.open(tmp_path / "sys/fs/cgroup" / path, os.O_RDONLY)  # or ext4 gives its number to the next one
    remove_cgroup(tmp_path, path)
    make_cgroup(tmp_path, path)
    ((new,),) = (pod.containers for pod in scanner.scan())
    os.close(held)

    assert (new.path, new.id) == (old.path, old.id)
    assert new.inode != old.inode


def test_hundreds_of_dead_pods_stay_listed_without_containers(tmp_path: Path) -> None:
    for number in range(300):
        make_cgroup(
            tmp_path, pod_path(uid(number), "BestEffort"), {"cgroup.events": "populated 0\nfrozen 0\n"}
        )
    make_cgroup(tmp_path, container_path(uid(1000), container_id(1)))

    pods = PodScanner(tmp_path).scan()

    assert len(pods) == 301
    assert [pod.uid for pod in pods if pod.containers] == [uid(1000)]


class Vanishing(PodScanner):
    """A scanner's node removes a directory just after it was listed."""

    def __init__(self, root: Path, victim: str) -> None:
        super().__init__(root)
        self._cgroups = root / "sys/fs/cgroup"
        self._victim = victim

    def _subdirectories(self, fd: int, path: str) -> list[tuple[str, int]]:
        found = super()._subdirectories(fd, path)
        if any(name == os.path.basename(self._victim) for name, _ in found):
            shutil.rmtree(self._cgroups / self._victim, ignore_errors=True)
        return found


@pytest.mark.parametrize(
    ("victim", "left"),
    [
        ("kubepods.slice", []),
        ("kubepods.slice/kubepods-burstable.slice", []),
        (pod_path(uid(1), "Burstable"), [uid(2)]),
        (container_path(uid(1), container_id(1)), [uid(1), uid(2)]),
    ],
)
def test_a_cgroup_that_vanishes_mid_scan_is_left_out(tmp_path: Path, victim: str, left: list[str]) -> None:
    make_cgroup(tmp_path, container_path(uid(1), container_id(1)))
    make_cgroup(tmp_path, container_path(uid(2), container_id(2)))
    scanner = Vanishing(tmp_path, victim)

    pods = scanner.scan()

    assert [pod.uid for pod in pods] == left
    assert all(not pod.containers for pod in pods if pod.uid == uid(1))
    assert scanner.scan() == pods


def test_scans_of_a_tree_in_motion_end_with_what_is_there(tmp_path: Path) -> None:
    make_cgroup(tmp_path, container_path(uid(0), container_id(0)))
    stop = threading.Event()

    def churn() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            make_cgroup(
                tmp_path, container_path(uid(number % 5 + 1), container_id(number)), {"cgroup.procs": ""}
            )
            if number > 5:
                remove_cgroup(tmp_path, container_path(uid((number - 5) % 5 + 1), container_id(number - 5)))

    thread = threading.Thread(target=churn)
    scanner = PodScanner(tmp_path)
    thread.start()
    try:
        for _ in range(100):
            assert uid(0) in {pod.uid for pod in scanner.scan()}
    finally:
        stop.set()
        thread.join()

    scanner.scan()
    assert scanner.scan() == PodScanner(tmp_path).scan()


def test_a_scan_leaves_no_descriptor_open(tmp_path: Path) -> None:
    for number in range(5):
        make_cgroup(tmp_path, container_path(uid(number), container_id(number)))
    before = len(os.listdir("/proc/self/fd"))

    scanner = PodScanner(tmp_path)
    scanner.scan()
    scanner.scan()

    assert len(os.listdir("/proc/self/fd")) == before


def test_a_tree_that_leaks_cgroups_is_an_error_in_every_scan(tmp_path: Path) -> None:
    for number in range(20):
        make_cgroup(tmp_path, container_path(uid(number), container_id(number)), {})

    with pytest.raises(KernelFileError, match="more than 30 directories"):
        PodScanner(tmp_path, directory_limit=30).scan()
    scanner = PodScanner(tmp_path, directory_limit=44)
    assert len(scanner.scan()) == 20
    make_cgroup(tmp_path, container_path(uid(19), container_id(99)), {})
    make_cgroup(tmp_path, container_path(uid(19), container_id(98)), {})
    make_cgroup(tmp_path, container_path(uid(19), container_id(97)), {})
    with pytest.raises(KernelFileError, match="more than 44 directories"):
        scanner.scan()


def test_a_node_without_pods_is_empty_one_without_cgroups_fails(tmp_path: Path) -> None:
    make_node(tmp_path / "empty")

    assert PodScanner(tmp_path / "empty").scan() == ()
    with pytest.raises(MissingKernelFile, match="/sys/fs/cgroup"):
        PodScanner(tmp_path / "nothing").scan()
