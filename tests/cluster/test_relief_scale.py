"""Five hundred nodes request relief at once: budgets hold, the order is fair, the controller stays small."""

import asyncio
import json
import pathlib
import time
from collections.abc import Awaitable, Iterable
from typing import Any

from overbook.core.api.group import API_VERSION
from overbook.core.api.overcommit_node import (
    AGENT_MANAGER,
    MOST_CANDIDATES,
    OvercommitNode,
    ReliefCandidate,
    ReliefRequest,
)
from overbook.core.timestamp import from_timestamp, to_timestamp
from overbook.deploy.installation import Installation
from overbook.kube.api.client import Client
from overbook.kube.api.kinds import NODES, OVERCOMMIT_NODES, PODS
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster import relief_cluster
from tests.cluster.relief_cluster import ask, controller
from tests.waiting import wait_for

NODES_ASKING = 500
PER_CLUSTER = 5
LIMIT_BYTES = 100 * 2**20
RUNNING = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}


async def all_of(work: Iterable[Awaitable[Any]]) -> None:
    """Await all calls, some at a time, as the client allows."""
    async with asyncio.TaskGroup() as tasks:
        for each in work:
            tasks.create_task(_done(each))


async def _done(work: Awaitable[Any]) -> None:
    await work


def fill(cluster: ControlPlane, namespace: str) -> None:
    """Create the nodes, a pod on each, and a request from each: the higher its number, the later."""
    began = time.time() - 10_000

    async def one(client: Client, number: int) -> None:
        name = f"crowd-{number:03}"
        await client.create(NODES, {"metadata": {"name": name}})
        await client.strategic_patch(
            NODES, name, {"status": {"conditions": [relief_cluster.READY]}}, subresource="status"
        )
        spec = {
            "nodeName": name,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "none"}],
            "tolerations": [{"operator": "Exists"}],
        }
        pod = await client.create(PODS, {"metadata": {"name": name}, "spec": spec}, namespace)
        await client.strategic_patch(PODS, name, RUNNING, namespace, subresource="status")
        wild = ReliefCandidate(
            uid=pod.metadata.uid or "", namespace=namespace, name=name, over_request_bytes=1, blame=1.9
        )
        others = [
            ReliefCandidate(
                uid=f"other-{number}-{n}",
                namespace=namespace,
                name=f"other-{number}-{n}",
                sentence="120 MiB over its request, priority 0, 3 % of the growth, 2 % of the refaults",
            )
            for n in range(MOST_CANDIDATES - 1)
        ]
        request = ReliefRequest(
            id=f"r-{number}",
            decided_at=to_timestamp(began + number),
            rule="all work stalled on memory",
            sentence="all work stalled on memory 46 % of 2 s, 1 % of RAM available",
            candidates=(wild, *others),
        )
        status = {
            "observedAt": to_timestamp(time.time()),
            "pressure": {"state": "Critical"},
            "request": request,
        }
        obj = {"apiVersion": API_VERSION, "kind": "OvercommitNode", "metadata": {"name": name}}
        await client.apply(OVERCOMMIT_NODES, obj, manager=AGENT_MANAGER)
        await client.apply(
            OVERCOMMIT_NODES, {**obj, "status": status}, manager=AGENT_MANAGER, subresource="status"
        )

    ask(cluster, lambda client: all_of(one(client, number) for number in range(NODES_ASKING)))


def crowd(cluster: ControlPlane) -> list[OvercommitNode]:
    async def listed(client: Client) -> list[OvercommitNode]:
        return [obj async for obj in client.list(OVERCOMMIT_NODES) if obj.metadata.name.startswith("crowd")]

    return ask(cluster, listed)


def test_all_nodes_are_served_in_order_within_the_budget(
    cluster: ControlPlane,
    installed: Installation,  # noqa: ARG001 - the controller has the rights that are shipped
    namespace: str,
    tmp_path: pathlib.Path,
) -> None:
    relief_cluster.configure(cluster, perCluster=PER_CLUSTER, coolDownSeconds=3600, staleSeconds=3600)
    fill(cluster, namespace)
    with controller(relief_cluster.controllers_kubeconfig(cluster), tmp_path) as process:
        most_bytes = 0

        def served() -> list[OvercommitNode]:
            nonlocal most_bytes
            most_bytes = max(most_bytes, process.resident_bytes)
            nodes = crowd(cluster)
            return nodes if all(node.status.relief and node.status.relief.outcomes for node in nodes) else []

        nodes = wait_for(served, "every node was relieved", seconds=300, every_seconds=5)
        assert len(nodes) == NODES_ASKING
        decisions = json.loads(process.get("/decisions")[1])["decisions"]
        assert decisions
    reliefs = [node.status.relief.outcomes[0] for node in nodes if node.status.relief]
    spans = [
        (from_timestamp(each.started_at) or 0.0, from_timestamp(each.finished_at) or 0.0, each.request_id)
        for each in reliefs
    ]
    most_at_once = max(sum(a <= began < b for a, b, _ in spans) for began, _, _ in spans)
    assert most_at_once <= PER_CLUSTER
    served_in_order = [int(request_id.removeprefix("r-")) for _, _, request_id in sorted(spans)]
    displaced = max(abs(place - number) for place, number in enumerate(served_in_order))
    # Those on their way together may begin in any order.
    assert displaced <= PER_CLUSTER
    print(
        f"{NODES_ASKING} nodes: {max(b for _, b, _ in spans) - min(a for a, _, _ in spans):.0f} s, "
        f"{most_at_once} at once, displaced by {displaced}, {most_bytes / 2**20:.0f} MiB"
    )
    assert most_bytes <= LIMIT_BYTES
    ask(cluster, lambda client: all_of(client.delete(NODES, node.metadata.name) for node in nodes))
