from overbook.cli.commands.status.table import node_lines
from overbook.core.api.overcommit_node import SwapStatus
from overbook.status.build import build_node
from tests.core.pod_manifests import GI
from tests.status.test_findings import CLUSTER, node


def lines(*page_bytes: int, wide: bool = False) -> list[str]:
    nodes = [
        build_node(
            node(
                f"worker-{size}",
                swap=SwapStatus(
                    8 * GI, GI, GI, in_pages_per_second=1600, out_pages_per_second=16, page_bytes=size
                ),
            ),
            CLUSTER,
        )
        for size in page_bytes
    ]
    return list(node_lines(nodes, wide=wide))


def test_a_table_says_the_size_of_the_pages_of_its_nodes() -> None:
    assert "IN/OUT: pages/s of 4 KiB" in lines(4096, 4096)[-1]
    assert "IN/OUT: pages/s of 4 or 64 KiB" in lines(4096, 65536)[-1]


def test_a_wide_table_has_swap_traffic_in_bytes() -> None:
    head, small, large, _ = lines(4096, 65536, wide=True)
    assert "MIB/S" in head
    assert "1600/16" in small
    assert " 6.2/0.1 " in small
    assert " 100.0/1.0 " in large
