"""The kubelet is found, and its settings are read, on the distributions' nodes as they are."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from overbook.node.kubelet import Kubelet, described, find_process, kubelet_unit, running_kubelet
from overbook.node.kubelet.version import minor_version, parse_minor

MIB = 1 << 20
HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"


def process(root: Path, pid: int, line: str, cgroup: str, exe: str = "") -> None:
    """A process with a command line; of one without NUL the blanks stay, as in a title."""
    folder = root / "proc" / str(pid)
    folder.mkdir(parents=True)
    (folder / "cmdline").write_text(line)
    (folder / "cgroup").write_text(f"0::{cgroup}\n")
    if exe:
        (folder / "exe").symlink_to(exe)


def argv(*words: str) -> str:
    return "".join(f"{word}\0" for word in words)


def write(root: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def found(root: Path) -> Kubelet:
    kubelet = running_kubelet(str(root))
    assert kubelet is not None
    return kubelet


@pytest.mark.parametrize(
    ("line", "cgroup", "unit"),
    [
        (argv("/usr/bin/kubelet", "--v=2"), "/system.slice/kubelet.service", "kubelet.service"),
        (argv("/usr/bin/hyperkube", "kubelet", "--v=2"), "/system.slice/kubelet.service", "kubelet.service"),
        ("/usr/local/bin/k3s server\0\0\0\0", "/system.slice/k3s.service", "k3s.service"),
        ("/usr/local/bin/k3s agent", "/system.slice/k3s-agent.service", "k3s-agent.service"),
        (argv("/usr/local/bin/k3s", "agent"), "/system.slice/k3s-agent.service", "k3s-agent.service"),
        (
            argv("/var/lib/rancher/rke2/bin/kubelet"),
            "/system.slice/rke2-server.service",
            "rke2-server.service",
        ),
        (argv("/var/lib/k0s/bin/kubelet"), "/system.slice/k0sworker.service", "k0sworker.service"),
        (argv("/usr/bin/kubelet"), "/runtime.slice/kubelet.service", "kubelet.service"),
        (argv("/usr/local/bin/kubelet"), "/podruntime/kubelet", ""),
        (argv("kubelet"), "/docker/0123/kubelet.slice/kubelet.service", "kubelet.service"),
        (
            argv("/snap/k8s/12/bin/kubelet"),
            "/system.slice/snap.k8s.kubelet.service",
            "snap.k8s.kubelet.service",
        ),
    ],
)
def test_a_kubelet_is_found_with_its_unit(tmp_path: Path, line: str, cgroup: str, unit: str) -> None:
    process(tmp_path, 1, argv("/sbin/init"), "/init.scope")
    process(tmp_path, 900, line, cgroup)

    assert kubelet_unit(str(tmp_path)) == unit
    assert find_process(str(tmp_path)) is not None


@pytest.mark.parametrize(
    ("line", "cgroup"),
    [
        (argv("/usr/local/bin/k3s", "kubectl", "get", "nodes"), "/user.slice/session-1.scope"),
        (argv("/usr/local/bin/k3s", "server", "--disable-agent"), "/system.slice/k3s.service"),
        (argv("/usr/bin/hyperkube", "kube-proxy"), "/system.slice/proxy.service"),
        (argv("/usr/bin/microshift", "version"), "/user.slice/session-1.scope"),
        ("/bin/k3s server\0", "/kubepods.slice/kubepods-pod4678f48e_9e6e.slice/cri-containerd-00.scope"),
        (argv("kubelet"), "/kubepods/burstable/pod4678f48e-9e6e-53d3-9c13-dbd66056a5d1/00"),
        (argv("kubelet"), "/../../pod4678f48e-9e6e-53d3-9c13-dbd66056a5d1/00"),
    ],
)
def test_a_program_that_only_looks_like_a_kubelet_is_none(tmp_path: Path, line: str, cgroup: str) -> None:
    process(tmp_path, 900, line, cgroup)

    assert find_process(str(tmp_path)) is None
    assert kubelet_unit(str(tmp_path)) == ""


def test_rke2s_own_process_gives_way_to_its_kubelet(tmp_path: Path) -> None:
    process(tmp_path, 700, "/usr/local/bin/rke2 server", "/system.slice/rke2-server.service")
    folder = "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d"
    process(tmp_path, 800, argv("kubelet", f"--config-dir={folder}"), "/system.slice/rke2-server.service")
    write(tmp_path, {f"{folder}/00-rke2-defaults.conf": f"{HEAD}failSwapOn: false\n"})

    kubelet = found(tmp_path)

    assert (kubelet.pid, kubelet.configuration.swap) == (800, "NoSwap")
    assert folder in kubelet.place


def test_a_kubelet_on_the_host_wins_over_a_containers(tmp_path: Path) -> None:
    process(tmp_path, 700, argv("kubelet"), "/docker/0123/kubelet.slice/kubelet.service")
    process(tmp_path, 800, argv("kubelet", "--fail-swap-on=false"), "/system.slice/kubelet.service")

    assert found(tmp_path).pid == 800


def test_k3s_flags_come_from_files_and_the_unit(tmp_path: Path) -> None:
    process(tmp_path, 812, "/usr/local/bin/k3s server", "/system.slice/k3s.service")
    write(
        tmp_path,
        {
            "/etc/systemd/system/k3s.service": (
                "[Service]\nExecStart=/usr/local/bin/k3s \\\n    server \\\n"
                "\t'--kubelet-arg=system-reserved=memory=64Mi' \\\n\t'--data-dir' '/data/k3s' \\\n\n"
            ),
            "/etc/rancher/k3s/config.yaml": (
                "kubelet-arg:\n- kube-reserved=memory=1Gi\n- eviction-hard=memory.available<1Gi\n"
            ),
            "/etc/rancher/k3s/config.yaml.d/10.yaml": "kubelet-arg+: [image-gc-high-threshold=95]\n",
            "/etc/rancher/k3s/config.yaml.d/20.txt": "kubelet-arg: [fail-swap-on=true]\n",
            "/data/k3s/agent/etc/kubelet.conf.d/00-k3s-defaults.conf": (
                f"{HEAD}failSwapOn: false\nevictionHard: {{nodefs.available: 5%}}\n"
            ),
            "/data/k3s/agent/etc/kubelet.conf.d/50-swap.conf": (
                f"{HEAD}memorySwap: {{swapBehavior: LimitedSwap}}\n"
            ),
        },
    )

    kubelet = found(tmp_path)

    assert kubelet.configuration.swap == "LimitedSwap"
    assert kubelet.configuration.eviction_hard == {"memory.available": "1Gi"}
    assert kubelet.configuration.enforced_bytes(4096 * MIB) == (4096 - 1024 - 64) * MIB
    assert kubelet.configuration.image_gc_high_threshold_percent == 95
    assert kubelet.folder == "/data/k3s/agent/etc/kubelet.conf.d"


def test_a_later_k3s_file_replaces_the_arguments(tmp_path: Path) -> None:
    process(tmp_path, 812, "/usr/local/bin/k3s agent", "/system.slice/k3s-agent.service")
    write(
        tmp_path,
        {
            "/etc/rancher/k3s/config.yaml": "kubelet-arg: [fail-swap-on=true]\n",
            "/etc/rancher/k3s/config.yaml.d/10.yaml": "kubelet-arg: eviction-hard+=memory.available<200Mi\n",
        },
    )

    kubelet = found(tmp_path)

    assert kubelet.configuration.swap == "NoSwap"
    assert kubelet.configuration.eviction_bytes(4096 * MIB) == 200 * MIB
    assert (kubelet.configuration.eviction_hard or {})["nodefs.available"] == "5%"


def test_a_pod_does_not_take_k3s_defaults_for_its_settings(tmp_path: Path) -> None:
    process(tmp_path, 812, "/usr/local/bin/k3s agent", "/../../system.slice/k3s-agent.service")
    seen = find_process(str(tmp_path))
    assert seen is not None

    assert described(seen, str(tmp_path)).configuration.swap == "NoSwap"
    with pytest.raises(FileNotFoundError):
        described(seen, str(tmp_path), whole=False)


def test_microshift_has_no_default_thresholds(tmp_path: Path) -> None:
    process(tmp_path, 900, argv("/usr/bin/microshift", "run"), "/system.slice/microshift.service")
    path = "/var/lib/microshift/resources/kubelet/config/config.yaml"
    write(tmp_path, {path: f"{HEAD}failSwapOn: false\n"})

    kubelet = found(tmp_path)

    assert kubelet.configuration.swap == "NoSwap"
    assert kubelet.configuration.eviction_bytes(4096 * MIB) == 0


def test_a_kubelet_in_a_container_has_files_of_its_own(tmp_path: Path) -> None:
    process(
        tmp_path, 900, argv("kubelet", "--config=/var/lib/kubelet/config.yaml"), "/docker/01/kubelet.service"
    )
    inside = "/proc/900/root/var/lib/kubelet/config.yaml"
    write(tmp_path, {inside: "failSwapOn: false\n", "/var/lib/kubelet/config.yaml": "failSwapOn: true\n"})

    assert found(tmp_path).configuration.swap == "NoSwap"


def test_a_relative_path_begins_where_the_kubelet_began(tmp_path: Path) -> None:
    process(tmp_path, 900, argv("kubelet", "--config=kubelet.yaml"), "/system.slice/kubelet.service")
    (tmp_path / "proc/900/cwd").symlink_to("/opt/kubernetes")
    write(tmp_path, {"/opt/kubernetes/kubelet.yaml": "failSwapOn: false\n"})

    assert found(tmp_path).configuration.swap == "NoSwap"


def test_a_configuration_that_has_gone_is_named(tmp_path: Path) -> None:
    process(tmp_path, 900, argv("kubelet", "--config=/opt/k/k.yaml", "--fail-swap-on=false"), "/k.service")
    (tmp_path / "opt/k").mkdir(parents=True)

    kubelet = found(tmp_path)

    assert (kubelet.missing, kubelet.configuration.swap) == ("/opt/k/k.yaml", "NoSwap")


@pytest.mark.parametrize(
    ("word", "exe", "files", "minor"),
    [
        ("/var/lib/minikube/binaries/v1.31.0/kubelet", "", {}, 31),
        ("kubelet", "/var/lib/rancher/rke2/data/v1.29.3-rke2r1-0123abcd/bin/kubelet", {}, 29),
        ("/snap/k8s/7/bin/kubelet", "", {"/snap/k8s/7/meta/snap.yaml": "name: k8s\nversion: '1.32.1'\n"}, 32),
        (
            "/usr/bin/kubelet",
            "",
            {
                "/var/lib/dpkg/status": (
                    "Package: kube\nVersion: 1.1.1\n\nPackage: kubelet\nStatus: install ok installed\n"
                    "Version: 1.30.2-1.1\n\nPackage: x\nVersion: 1.9.1\n"
                )
            },
            30,
        ),
        (
            "/opt/kubelet",
            "",
            {"/opt/kubelet": "ELF\xff Go buildinf:\x08\x02 path k\ndep\tk8s.io/kubernetes\tv1.36.2\th1:\n"},
            36,
        ),
        ("/usr/bin/kubelet", "", {}, None),
    ],
)
def test_the_version_is_read_without_running_anything(
    tmp_path: Path, word: str, exe: str, files: Mapping[str, str], minor: int | None
) -> None:
    process(tmp_path, 900, argv(word), "/system.slice/kubelet.service", exe)
    for path, text in files.items():
        file = tmp_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("latin-1"))
    seen = find_process(str(tmp_path))
    assert seen is not None

    assert minor_version(seen, os.fspath(tmp_path)) == minor


def test_a_nodes_kubelet_version_is_understood() -> None:
    assert [parse_minor(text) for text in ("v1.36.2+k3s1", "1.30", "v2.1", "")] == [36, 30, None, None]
