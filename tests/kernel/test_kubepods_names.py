"""Names of pod and container cgroups are parsed, for both drivers and several runtimes."""

import pytest

from overbook.kernel.kubepods_names import (
    ContainerName,
    PodName,
    is_kubepods_directory,
    parse_container_directory,
    parse_pod_directory,
    parse_qos_directory,
)

UID = "0f2c1d7e-5a4b-4c3d-8e9f-a0b1c2d3e4f5"
ESCAPED = UID.replace("-", "_")
HASH = "d41d8cd98f00b204e9800998ecf8427e"
ID = "ab12" * 16


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"kubepods-burstable-pod{ESCAPED}.slice", PodName(UID, "Burstable")),
        (f"kubepods-besteffort-pod{ESCAPED}.slice", PodName(UID, "BestEffort")),
        (f"kubepods-pod{ESCAPED}.slice", PodName(UID, "Guaranteed")),
        (f"kubepods-burstable-pod{HASH}.slice", PodName(HASH, "Burstable")),
        (f"kubelet-kubepods-burstable-pod{ESCAPED}.slice", PodName(UID, "Burstable")),
        (f"pod{UID}", PodName(UID, None)),
        (f"pod{HASH}", PodName(HASH, None)),
        ("kubepods-burstable.slice", None),
        ("kubepods-pod.slice", None),
        ("system.slice", None),
        ("pod", None),
        ("podman.slice", None),
        (f"kubepods-pod{ESCAPED}.slice\n", None),
    ],
)
def test_pod_directories_are_parsed(name: str, expected: PodName | None) -> None:
    assert parse_pod_directory(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"cri-containerd-{ID}.scope", ContainerName("cri-containerd", ID)),
        (f"crio-{ID}.scope", ContainerName("crio", ID)),
        (f"docker-{ID}.scope", ContainerName("docker", ID)),
        (f"crio-{ID}", ContainerName("crio", ID)),
        (ID, ContainerName(None, ID)),
        (f"crio-conmon-{ID}.scope", None),
        (f"crio-conmon-{ID}", None),
        (f"{ID}.scope", None),
        ("container", None),
        ("init.scope", None),
        ("cri-containerd-xyz.scope", None),
        ("memory.current", None),
    ],
)
def test_container_directories_are_parsed(name: str, expected: ContainerName | None) -> None:
    assert parse_container_directory(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kubepods-burstable.slice", "Burstable"),
        ("kubelet-kubepods-besteffort.slice", "BestEffort"),
        ("burstable", "Burstable"),
        ("besteffort", "BestEffort"),
        ("guaranteed", None),
        (f"kubepods-burstable-pod{ESCAPED}.slice", None),
    ],
)
def test_qos_directories_are_parsed(name: str, expected: str | None) -> None:
    assert parse_qos_directory(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kubepods.slice", True),
        ("kubepods", True),
        ("kubelet-kubepods.slice", True),
        ("kubepods-burstable.slice", False),
        ("mykubepods", False),
        ("system.slice", False),
    ],
)
def test_kubepods_directories_are_recognised(name: str, expected: bool) -> None:
    assert is_kubepods_directory(name) == expected
