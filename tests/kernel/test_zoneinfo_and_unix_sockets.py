"""The files /proc/zoneinfo and /proc/1/net/unix are parsed."""

import pathlib

import pytest

from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.unix_sockets import count_connections, read_connections
from overbook.kernel.zoneinfo import ZoneSums, parse_zoneinfo, read_zoneinfo
from overbook_sandbox.fakes.kernel_files import build_tree

ZONES = b"""\
Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 61309
  pages free     2816
        boost    0
        min      10
        low      13
        high     16
        spanned  4095
        present  3998
        managed  3840
        cma      0
        protection: (0, 1930, 1930, 1930, 1930)
  pagesets
    cpu: 0
              count: 13
              high:  14
              batch: 1
Node 0, zone   Normal
  pages free     23146
        min      1000
        low      1250
        high     1500
        managed  100000
"""
SOCKETS = b"""\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 100 /run/nri/nri.sock
0000000000000000: 00000003 00000000 00000000 0001 03 101 /run/nri/nri.sock
0000000000000000: 00000003 00000000 00000000 0001 03 102 /var/run/nri/nri.sock
0000000000000000: 00000003 00000000 00000000 0001 03 103
0000000000000000: 00000003 00000000 00000000 0001 03 104 /run/other.sock
"""


def test_watermarks_of_all_zones_are_summed() -> None:
    page = 4096
    assert parse_zoneinfo(ZONES) == ZoneSums(1010 * page, 1263 * page, 1516 * page, 103840 * page)


@pytest.mark.parametrize("data", [b"", b"garbage\n", ZONES.replace(b"        low      1250\n", b"")])
def test_incomplete_zones_are_an_error(data: bytes) -> None:
    with pytest.raises(KernelFileError):
        parse_zoneinfo(data)


def test_watermarks_of_the_running_machine_are_in_order() -> None:
    sums = read_zoneinfo()
    assert 0 < sums.min_bytes < sums.low_bytes < sums.high_bytes < sums.managed_bytes


def test_connections_are_counted_and_the_listener_is_not(tmp_path: pathlib.Path) -> None:
    paths = frozenset({"/run/nri/nri.sock", "/var/run/nri/nri.sock"})
    build_tree(tmp_path, {"proc/1/net/unix": SOCKETS})

    assert read_connections(paths, tmp_path) == 2
    assert count_connections(b"", paths) == 0
    with pytest.raises(MissingKernelFile):
        read_connections(paths, tmp_path / "elsewhere")
