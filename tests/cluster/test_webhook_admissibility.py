"""The real API server forbids exactly the random pods that core's admissibility forbids."""

import json
import random
from functools import partial
from typing import Any

from overbook.core.kubernetes.admissibility import complaint, constraints
from overbook.core.kubernetes.limit_range import LimitRange, with_defaults
from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubernetes.resolved import resolve
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.conftest import make_namespace
from tests.cluster.dry_run import SENTINEL, knows_sentinel, try_pods
from tests.cluster.installing import apply_manifests
from tests.waiting import wait_for
from tests.webhook.running import limit_range

NAMESPACES = 8
PODS = 60
QUANTITIES = {
    "cpu": ["0", "1m", "50m", "100m", "250m", "1", "1500m", "2", "4"],
    "memory": ["0", "1Mi", "64Mi", "100Mi", "100M", "1Gi", "1G", "1.5Gi", "2Gi", "8Gi"],
}


def test_random_pods_are_forbidden_by_both_or_by_none(cluster: ControlPlane) -> None:
    chance = random.Random(20261122)
    differences: list[str] = []
    forbidden = 0
    for _ in range(NAMESPACES):
        space = make_namespace(cluster)
        manifests = [
            limit_range("sentinel", space, SENTINEL),
            limit_range("sizes", space, *_items(chance)),
        ]
        apply_manifests(cluster, manifests)
        # As the API server completes and rounds them.
        stored = json.loads(cluster.kubectl("get", "limitrange", "-n", space, "-o", "json"))["items"]
        ranges = [convert(one, LimitRange, "") for one in stored]
        wait_for(partial(knows_sentinel, cluster, space), "the LimitRange is enforced")
        pods = [_pod(chance) for _ in range(PODS)]
        for pod, answer in zip(pods, try_pods(cluster, space, pods), strict=True):
            refused = answer if isinstance(answer, str) else ""
            resolved = resolve(with_defaults(convert(pod, Pod, ""), ranges))
            ours = complaint(resolved, resolved.level, constraints(ranges))
            forbidden += bool(refused)
            if bool(ours) != bool(refused):
                differences.append(f"{json.dumps(pod)} in {stored}\n  ours {ours!r}\n  theirs {refused!r}")
        cluster.kubectl("delete", "namespace", space, "--wait=false")
    assert not differences, f"{len(differences)} differ; the first:\n{differences[0]}"
    assert NAMESPACES * PODS * 0.2 < forbidden < NAMESPACES * PODS * 0.95


def _items(chance: random.Random) -> list[dict[str, Any]]:
    items = []
    for kind in chance.sample(["Container", "Pod"], chance.randint(1, 2)):
        item: dict[str, Any] = {"type": kind}
        for field in chance.sample(["min", "max", "maxLimitRequestRatio"], chance.randint(1, 2)):
            resource = chance.choice(["cpu", "memory"])
            if field == "min":
                item[field] = {resource: {"cpu": "50m", "memory": "64Mi"}[resource]}
            elif field == "max":
                item[field] = {resource: {"cpu": "2", "memory": "2Gi"}[resource]}
            else:
                item[field] = {resource: chance.choice(["1", "1500m", "2", "10"])}
        items.append(item)
    return items


def _pod(chance: random.Random) -> dict[str, Any]:
    containers = [_container(f"c{number}", chance) for number in range(chance.randint(1, 3))]
    init = [_container(f"i{number}", chance) for number in range(chance.choice((0, 0, 1, 2)))]
    for one in init:
        if chance.random() < 0.4:
            one["restartPolicy"] = "Always"
    spec: dict[str, Any] = {"containers": containers, "initContainers": init}
    if chance.random() < 0.3:
        spec["resources"] = _resources(chance)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "cart"},
        "spec": spec,
    }


def _container(name: str, chance: random.Random) -> dict[str, Any]:
    return {"name": name, "image": "cart", "resources": _resources(chance)}


def _resources(chance: random.Random) -> dict[str, Any]:
    return {
        part: {
            resource: chance.choice(QUANTITIES[resource])
            for resource in ("cpu", "memory")
            if chance.random() < 0.5
        }
        for part in ("requests", "limits")
    }
