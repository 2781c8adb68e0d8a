"""The disk of a node is divided by a partition table, and a node gets the disk that its load needs."""

import struct

import pytest

from overbook_sandbox.density import guards
from overbook_sandbox.density.catalog import find
from overbook_sandbox.density.node.disks import FLOODED_MIB, THROTTLES, master_boot_record
from overbook_sandbox.density.run import order_of, spec_of

MIB = 2**20


def test_a_partition_table_has_start_and_size_of_each_part() -> None:
    record = master_boot_record([(0x82, 2048, 4096), (0x83, 6144, 10)])
    assert len(record) == 512
    assert record[510:] == b"\x55\xaa"
    entries = [struct.unpack("<4xB3xII", record[446 + 16 * n : 462 + 16 * n]) for n in range(4)]
    assert entries == [(0x82, 2048, 4096), (0x83, 6144, 10), (0, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize(
    ("load", "guard", "disk_mib"),
    [
        ("wild", "limited", 512),
        ("wild", "no-swap", 0),
        ("cache", "no-swap", 512 + FLOODED_MIB),
        ("cache", "limited", 512 + FLOODED_MIB),
        ("zram", "limited", 0),
    ],
)
def test_a_node_has_a_disk_where_its_load_or_guard_needs_one(load: str, guard: str, disk_mib: int) -> None:
    order = order_of(find(load), guards.find(guard))
    spec = spec_of(order, 2, much_memory=False)
    assert spec.memory_bytes == 1024 * MIB
    assert spec.cpus == 2
    assert not spec.swap_on
    assert spec.swap_bytes == (disk_mib + 2 if disk_mib else 0) * MIB


def test_a_slow_disk_is_throttled_more_than_a_fast_one() -> None:
    assert THROTTLES["slow"].limits == "rbps=12000000 wbps=12000000 riops=1200 wiops=max"
    assert THROTTLES["slow"].bytes_per_second < THROTTLES["fast"].bytes_per_second


def test_innocent_pods_alone_have_much_memory() -> None:
    order = order_of(find("wild"), guards.BASELINE)
    assert [pod.name for pod in order.load.pods] == ["vm-1", "vm-2", "vm-3"]
    assert not order.swap
    assert spec_of(order, 1, much_memory=True).memory_bytes > 2 * 1024 * MIB
