"""`overbook status` shows an OvercommitNode that lies in every field, and a terminal obeys none of it."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings

from overbook.cli.commands.status.table import picture, render
from overbook.cli.output import harmless
from overbook.core.api.overcommit import Overcommit, OvercommitSpec
from overbook.core.api.overcommit_node import OvercommitNode
from overbook.core.kubernetes.pod import ObjectMeta
from overbook.kube.api.objects import Node
from overbook.status.build import build_cluster
from overbook.status.node_views import views_of
from overbook.status.view import Clusterwide
from tests.core.lying_node import lying_nodes

NODES = [Node(metadata=ObjectMeta(name=name)) for name in ("m", "n")]
CLUSTER = Clusterwide(overcommit=Overcommit(spec=OvercommitSpec(percentage=150, mode="Enforce")))
NOW = 1_800_000_000.0


def texts(lie: dict[str, Any], nodes: list[Node] | None) -> Iterator[str]:
    report = msgspec.json.decode(json.dumps(lie), type=OvercommitNode)
    views = views_of(nodes, {"n": report}, None, NOW)
    built = build_cluster(CLUSTER, views)
    assert msgspec.json.encode(built)
    for wide in (False, True):
        yield from render(built, wide=wide, details=True)
        yield from picture(built, (24, 80), wide=wide)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lie=lying_nodes())
def test_a_lying_node_is_shown_in_safe_lines(lie: dict[str, Any]) -> None:
    for nodes in (NODES, None):
        for line in texts(lie, nodes):
            assert harmless(line).isprintable()


def test_only_own_colours_reach_a_terminal() -> None:
    own = "\x1b[31mcritical\x1b[0m"
    assert harmless(own) == own
    lies = "a\x1b[2Jb\x1b]0;owned\x07\n\r\x9b5m\u202e"
    assert harmless(f"{own} {lies} é漢") == f"{own} a�[2Jb�]0;owned����5m� é漢"
