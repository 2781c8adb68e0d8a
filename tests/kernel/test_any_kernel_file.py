"""Whatever a file holds, a parser returns a value or raises KernelFileError."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.kernel.cgroup import parse_populated, parse_procs
from overbook.kernel.files import KernelFileError
from overbook.kernel.flat_keyed import parse_limit, parse_value
from overbook.kernel.kubepods_names import (
    is_kubepods_directory,
    parse_container_directory,
    parse_pod_directory,
    parse_qos_directory,
)
from overbook.kernel.meminfo import parse_meminfo
from overbook.kernel.memory_stat import parse_memory_events
from overbook.kernel.psi import parse_pressure
from overbook.kernel.swaps import parse_swaps
from overbook.kernel.sysctl import parse_integer, sysctl_path
from overbook.kernel.vmstat import parse_vmstat
from overbook_sandbox.fakes.kernel_files import memory_stat_file, pressure_file
from tests.kernel.whole_cgroup import (
    parse_cpu_max,
    parse_cpu_stat,
    parse_memory_stat,
    parse_memory_swap_events,
)

PARSERS: list[Callable[[bytes], object]] = [
    parse_cpu_max,
    parse_cpu_stat,
    parse_integer,
    parse_limit,
    parse_meminfo,
    parse_memory_events,
    parse_memory_stat,
    parse_memory_swap_events,
    parse_populated,
    parse_pressure,
    parse_procs,
    parse_swaps,
    parse_value,
    parse_vmstat,
]

# Words that get past the first checks, then anything at all.
_KERNEL_WORDS = (
    b"some full avg10=0.00 avg60=1.5 avg300=100.00 total=18446744073709551616 total=1 anon file pswpin"
    b" pswpout low high max usage_usec populated frozen MemTotal: MemFree: kB Filename Type partition"
    b" \\040(deleted) \\777 -2 0 1 -1 1_0 \xd9\xa1 99999999999999999999999 1e3 0x10 nan inf \0"
)
_WORDS = st.sampled_from([*_KERNEL_WORDS.split(b" "), b"\n", b"\t", b""])
_TEXTS = st.lists(st.lists(_WORDS | st.binary(max_size=6), max_size=10).map(b" ".join), max_size=8).map(
    b"\n".join
)
_ANY = st.binary(max_size=300) | _TEXTS | _TEXTS.map(lambda text: text + b"\n")


@pytest.mark.parametrize("parse", PARSERS)
@given(data=_ANY)
def test_random_bytes_raise_only_kernel_file_errors(parse: Callable[[bytes], object], data: bytes) -> None:
    try:
        parse(data)
    except KernelFileError as error:
        assert str(error).startswith(error.path)  # most inputs are refused, some are not  # noqa: PT017 - most inputs are refused, some are not


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("whole", [memory_stat_file(anon=12345).encode(), pressure_file(5, 6).encode()])
def test_a_file_cut_off_anywhere_raises_only_kernel_file_errors(
    parse: Callable[[bytes], object], whole: bytes
) -> None:
    for length in range(len(whole)):
        try:
            parse(whole[:length])
        except KernelFileError:
            continue


@given(st.text(max_size=100))
def test_random_names_raise_only_kernel_file_errors(name: str) -> None:
    parse_pod_directory(name)
    parse_container_directory(name)
    parse_qos_directory(name)
    is_kubepods_directory(name)
    try:
        path = sysctl_path(name, "/host")
    except KernelFileError:
        return
    assert path.startswith("/host/proc/sys/")
    assert ".." not in path
