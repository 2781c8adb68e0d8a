import pathlib

import pytest

from overbook.kernel.cgroup import Cgroup
from overbook.kernel.cgroup_limits import CgroupLimits, CgroupUse, read_cgroup_limits, read_cgroup_use
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook_sandbox.fakes.kernel_files import (
    container_files,
    make_cgroup,
    make_node,
    pressure_file,
    remove_cgroup,
)

MI = 1 << 20


@pytest.mark.parametrize(
    ("hard", "soft", "lower"),
    [
        ("max", "max", None),
        ("4096", "max", 4096),
        ("max", "8192", 8192),
        ("8192", "4096", 4096),
        (None, None, None),
    ],
)
def test_the_lower_limit_counts(
    tmp_path: pathlib.Path, hard: str | None, soft: str | None, lower: int | None
) -> None:
    files = {"memory.max": hard, "memory.high": soft, "memory.swap.max": "max"}
    make_cgroup(tmp_path, "a", {name: f"{value}\n" for name, value in files.items() if value})
    with Cgroup("a", tmp_path) as cgroup:
        assert read_cgroup_limits(cgroup) == CgroupLimits(lower, None)


def test_use_is_read_file_by_file(tmp_path: pathlib.Path) -> None:
    files = container_files(
        memory_current=MI, memory_stat={"inactive_file": 1, "slab_reclaimable": 3}, full_micros=9
    )
    make_cgroup(tmp_path, "a", files)
    with Cgroup("a", tmp_path) as cgroup:
        use = read_cgroup_use(cgroup)
    assert (use.current_bytes, use.inactive_file_bytes, use.slab_reclaimable_bytes) == (MI, 1, 3)
    assert (use.stall_some_micros, use.stall_full_micros) == (0, 9)


@pytest.mark.parametrize("path", ["", "a"])
def test_a_cgroup_without_these_files_has_no_limits(tmp_path: pathlib.Path, path: str) -> None:
    make_node(tmp_path)
    make_cgroup(tmp_path, "a", {"memory.pressure": pressure_file(1, 2)})
    with Cgroup(path, tmp_path) as cgroup:
        assert read_cgroup_limits(cgroup) == CgroupLimits()
        assert read_cgroup_use(cgroup).current_bytes is None


def test_a_cgroup_that_is_gone_is_missing(tmp_path: pathlib.Path) -> None:
    make_cgroup(tmp_path, "a")
    with Cgroup("a", tmp_path) as cgroup:
        assert read_cgroup_use(cgroup) != CgroupUse()
        assert cgroup.is_current()
        remove_cgroup(tmp_path, "a")
        assert not cgroup.is_current()
        with pytest.raises(MissingKernelFile):
            read_cgroup_limits(cgroup)
    assert not cgroup.is_current()


@pytest.mark.parametrize("name", ["memory.max", "memory.swap.max", "memory.high"])
def test_a_malformed_limit_is_an_error(tmp_path: pathlib.Path, name: str) -> None:
    make_cgroup(tmp_path, "a", {name: "-1\n"})
    with Cgroup("a", tmp_path) as cgroup, pytest.raises(KernelFileError, match="found"):
        read_cgroup_limits(cgroup)
