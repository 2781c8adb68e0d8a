"""The machine's cgroup version, sysctls and boot id are read."""

from pathlib import Path

import pytest

from overbook.kernel.cgroup_version import check_cgroup2
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.machine import page_size_bytes
from overbook.kernel.sysctl import (
    VM_OVERCOMMIT_MEMORY,
    VM_PANIC_ON_OOM,
    VM_SWAPPINESS,
    IntegerSysctl,
    read_sysctl,
    write_sysctl,
)
from overbook_sandbox.fakes.kernel_files import build_tree, make_node

MIN_FREE_KBYTES = IntegerSysctl("vm.min_free_kbytes", 0, (1 << 31) - 1)


def test_cgroup_version_2_is_recognised(tmp_path: Path) -> None:
    make_node(tmp_path)

    version = check_cgroup2(tmp_path)

    assert version.version == 2
    assert {"cpu", "io", "memory"} <= version.controllers


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            {"unified/cgroup.controllers": "", "memory/tasks": ""},
            "hybrid of cgroup versions 1 and 2.*unified_cgroup",
        ),
        ({"memory/tasks": ""}, "is cgroup version 1.*unified_cgroup"),
        ({}, "is the cgroup2 file system mounted"),
    ],
)
def test_another_cgroup_version_is_refused_with_its_fix(
    tmp_path: Path, tree: dict[str, object], message: str
) -> None:
    build_tree(tmp_path / "sys/fs/cgroup", tree)

    with pytest.raises(KernelFileError, match=message):
        check_cgroup2(tmp_path)


def test_sysctls_are_read_and_written(tmp_path: Path) -> None:
    make_node(tmp_path)

    assert VM_OVERCOMMIT_MEMORY.read(tmp_path) == 1
    assert VM_PANIC_ON_OOM.read(tmp_path) == 0
    assert MIN_FREE_KBYTES.read(tmp_path) == 67584
    VM_SWAPPINESS.write(200, tmp_path)
    assert VM_SWAPPINESS.read(tmp_path) == 200
    write_sysctl("vm.swappiness", "1", tmp_path)
    assert read_sysctl("vm.swappiness", tmp_path) == "1"


@pytest.mark.parametrize(
    ("sysctl", "value"), [(VM_SWAPPINESS, 201), (VM_OVERCOMMIT_MEMORY, -1), (MIN_FREE_KBYTES, -1)]
)
def test_a_value_out_of_range_is_refused(tmp_path: Path, sysctl: IntegerSysctl, value: int) -> None:
    make_node(tmp_path)
    before = sysctl.read(tmp_path)

    with pytest.raises(KernelFileError, match=f"cannot be {value}: it must be"):
        sysctl.write(value, tmp_path)
    assert sysctl.read(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["", "swappiness", "..", "vm...swappiness", "../etc.passwd", "/etc.passwd", "vm./x", "vm.\n"]
)
def test_an_invalid_sysctl_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(KernelFileError, match="no dotted name"):
        read_sysctl(name, tmp_path)
    with pytest.raises(KernelFileError, match="no dotted name"):
        write_sysctl(name, 1, tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n", b"x\n", b"1 2\n", b"9" * 50])
def test_a_sysctl_that_is_no_integer_is_refused(tmp_path: Path, content: bytes) -> None:
    build_tree(tmp_path, {"proc/sys/vm/swappiness": content})

    with pytest.raises(KernelFileError, match="expected one integer"):
        VM_SWAPPINESS.read(tmp_path)


def test_a_sysctl_that_the_kernel_lacks_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingKernelFile):
        VM_SWAPPINESS.read(tmp_path)
    with pytest.raises(MissingKernelFile):
        VM_SWAPPINESS.write(60, tmp_path)


def test_page_size() -> None:
    assert page_size_bytes() % 4096 == 0
