import pathlib

import pytest

from overbook_sandbox.fakes.kernel_files import container_files, make_cgroup
from tests.node.doctor.kernel_host import KernelHost

HEX = "cd" * 32
POD = "kubepods-burstable-pod0f3c2a10_1111_4222_8333_abcdefabcdef.slice"


@pytest.fixture
def host(tmp_path: pathlib.Path) -> KernelHost:
    return KernelHost(tmp_path)


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        (f"system.slice/{POD}:cri-containerd:{HEX}", "SystemdCgroup = true"),
        (f"{POD}:crio:{HEX}", "SystemdCgroup = true"),
        (f"system.slice/cri-containerd-{HEX}.scope", "cgroupDriver: systemd"),
        (f"kata_overhead/{HEX}", "sandbox_cgroup_only = true"),
        (f"kubepods.slice/kubepods-burstable.slice/{POD}/kata_{HEX}", "sandbox_cgroup_only = true"),
        (
            f"user.slice/user-1000.slice/user@1000.service/k/kubepods.slice/{POD}/cri-containerd-{HEX}.scope",
            "root",
        ),
        (f"a.slice/b/c/d/e/kubepods/burstable/pod0f3c2a10-1111-4222-8333-abcdefabcdef/{HEX}", "systemd-cgls"),
    ],
)
def test_a_container_beside_kubepods_is_found(host: KernelHost, path: str, fix: str) -> None:
    make_cgroup(host.root, path, container_files(pids=[42]))
    if path.startswith(("user.slice", "a.slice")):  # the kernel counts processes of the cgroups below, too
        make_cgroup(host.root, path.rpartition("/")[0], container_files(pids=[42]))

    (finding,) = host.findings()

    assert (finding.severity, finding.word) == ("Broken", "PodsMisplaced")
    assert path.partition("/kubepods")[0] in finding.sentence
    assert fix in finding.fix
    assert "places" not in host.fine()


def test_a_place_that_is_not_in_use_is_no_finding(host: KernelHost) -> None:
    make_cgroup(host.root, f"system.slice/{POD}:cri-containerd:{HEX}", container_files(memory_current=0))
    assert host.findings() == []


def test_an_empty_directory_of_the_pod_hides_nothing(host: KernelHost) -> None:
    make_cgroup(
        host.root, f"kubepods.slice/kubepods-burstable.slice/{POD}", container_files(memory_current=0)
    )
    make_cgroup(host.root, f"system.slice/{POD}:cri-containerd:{HEX}", container_files(pids=[42]))
    assert host.words() == ["PodsMisplaced"]


def test_containers_of_docker_itself_are_not_pods(host: KernelHost) -> None:
    make_cgroup(host.root, f"system.slice/docker-{HEX}.scope", container_files(pids=[42]))
    assert host.findings() == []


def test_pods_in_gvisor_are_noted(host: KernelHost) -> None:
    host.process(77, "runsc-sandbox", "--root=/run/containerd/runsc", "boot")
    (finding,) = host.findings()
    assert (finding.severity, finding.word) == ("Note", "SandboxedPods")
