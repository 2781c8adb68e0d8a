from msgspec import structs

from overbook.cli.commands.status.table import offload_lines, render
from overbook.core.api.overcommit_node import MemoryStatus
from overbook.status.build import build_cluster, build_node
from overbook.status.report import NodeStatusReport
from tests.core.pod_manifests import GI
from tests.status.test_findings import CLUSTER, node


def reported(name: str, bought: int = 0, would: int | None = None) -> NodeStatusReport:
    return build_node(node(name, memory=MemoryStatus(16 * GI, GI, None, bought, would)), CLUSTER)


def test_status_says_how_much_memory_offload_bought() -> None:
    nodes = [reported("a", 3 * GI), reported("b", GI), reported("c")]
    assert list(offload_lines(nodes)) == ["offload  4Gi of cold memory is kept in swap (8 % of RAM)"]
    assert [each.offloaded_bytes for each in nodes] == [3 * GI, GI, 0]


def test_status_says_how_much_an_observed_offload_would_buy() -> None:
    assert list(offload_lines([reported("a", would=2 * GI)])) == [
        "offload  2Gi of cold memory would be swapped out, which is only observed"
    ]


def test_status_is_silent_where_offload_bought_nothing() -> None:
    without = structs.replace(node("b"), status=None)
    assert list(offload_lines([reported("a"), reported("c", would=0), build_node(without, CLUSTER)])) == []


def test_the_line_on_offload_is_in_the_report() -> None:
    lines = [*render(build_cluster(CLUSTER, [node(memory=MemoryStatus(16 * GI, GI, None, GI))]))]
    assert "offload  1Gi of cold memory is kept in swap (6 % of RAM)" in lines
