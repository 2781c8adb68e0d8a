from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overbook.kernel.cgroup import MemoryReading
from overbook.kernel.files import KernelFileError
from overbook.kernel.memory_stat import MemoryUse
from overbook_sandbox.fakes.kernel_files import container_files, make_cgroup
from tests.kernel.whole_cgroup import WholeCgroup

FILES = ("memory.stat", "memory.current", "memory.swap.current", "memory.swap.max")
CONTENTS = st.one_of(
    st.binary(max_size=80),
    st.sampled_from([b"", b"max\n", b"0\n", b"12", b"-1\n", b"9" * 21 + b"\n", b"1\n2\n", b"x" * 5000]),
    st.integers(0, 1 << 64).map(lambda number: b"%d\n" % number),
    st.just(b"anon 5\nfile 3\nshmem 6\nswapcached 9\ninactive_file 7\nworkingset_refault_anon 8\n"),
    st.just(b"anon 5\nfile 3\n"),
)


def single_reads(cgroup: WholeCgroup) -> MemoryReading:
    stat = cgroup.read_memory_stat()
    return MemoryReading(
        MemoryUse(
            stat.anon_bytes,
            stat.shmem_bytes,
            stat.inactive_file_bytes,
            stat.workingset_refault_anon,
            stat.swapcached_bytes,
            stat.active_file_bytes,
        ),
        cgroup.read_memory_current(),
        cgroup.read_memory_swap_current(),
        cgroup.read_memory_swap_max(),
    )


@given(changed=st.dictionaries(st.sampled_from(FILES), CONTENTS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_one_reading_equals_single_reads(tmp_path: Path, changed: dict[str, bytes]) -> None:
    files = container_files(memory_stat={"anon": 1, "inactive_file": 2}, memory_swap_max=None)
    path = make_cgroup(tmp_path, "one", files)
    with WholeCgroup(path, tmp_path) as cgroup:
        for _ in range(2):  # the first reading opens the files, the second finds them open
            assert cgroup.read_memory() == single_reads(cgroup)
        for name, content in changed.items():
            (tmp_path / "sys/fs/cgroup/one" / name).write_bytes(content)
        try:
            expected = single_reads(cgroup)
        except KernelFileError:
            with pytest.raises(KernelFileError):
                cgroup.read_memory()
        else:
            assert cgroup.read_memory() == expected


def test_a_kernel_without_swap_accounting_is_read(tmp_path: Path) -> None:
    files = container_files(memory_current=5)
    del files["memory.swap.current"], files["memory.swap.max"]
    path = make_cgroup(tmp_path, "one", files)
    with WholeCgroup(path, tmp_path) as cgroup:
        for _ in range(2):
            read = cgroup.read_memory()
            assert (read.current_bytes, read.swap_current_bytes, read.swap_max_bytes) == (5, 0, 0)
