"""``overbook explain`` shows what the real API server stores for random pods, LimitRanges and classes."""

import asyncio
import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from overbook.cli import main
from overbook.core.kubernetes.quantity import parse
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError
from overbook.kube.api.find_cluster import load_config
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.conftest import make_namespace
from tests.cluster.installing import apply_manifests
from tests.cluster.test_webhook_admissibility import SENTINEL
from tests.waiting import wait_for
from tests.webhook.running import limit_range

NAMESPACES = 5
PODS = 20
QUANTITIES: dict[str, list[Any]] = {
    "cpu": ["0", "1m", "100m", "250m", "0.5", "1", "1500m", "2", "4"],
    "memory": ["0", "1Mi", "64Mi", "100M", "1Gi", "1.5Gi", "1.1Gi", "2Gi", "100m", "8Ei", 1073741824],
    "hugepages-2Mi": ["64Mi", "3Mi"],
    "ephemeral-storage": ["1Gi", "500m"],
    "example.com/gpu": ["1", "2"],
    "gpu": ["1"],
    "mem": ["1Gi"],
}
OFTEN = {"cpu": 0.6, "memory": 0.6}
CLASSES: list[dict[str, Any]] = [
    {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "explain-batch"},
        "value": 1000,
    },
    {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "explain-kata"},
        "handler": "kata",
        "overhead": {"podFixed": {"cpu": "250m", "memory": "160Mi"}},
    },
]


def test_random_pods_are_explained_as_they_are_stored(
    cluster: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(20261201)
    apply_manifests(cluster, CLASSES)
    differences: list[str] = []
    stored_pods = 0
    for number in range(NAMESPACES):
        space = make_namespace(cluster)
        ranges = [limit_range("sentinel", space, SENTINEL), limit_range("sizes", space, *_items(chance))]
        apply_manifests(cluster, ranges)
        wait_for(partial(_knows, cluster, space), "the LimitRange is enforced")
        pods = [_pod(chance, space, f"pod-{index}") for index in range(PODS)]
        answers = asyncio.run(_create(cluster.kubeconfig, space, pods))
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*CLASSES, *ranges, *pods]}))
        main(["explain", str(path), "--node-memory", "64Gi", "--output", "json"])
        report = json.loads(capsys.readouterr().out)
        named = {pod["name"].partition("/")[2]: pod for pod in report["pods"]}
        refused = " ".join(report.get("problems", []))
        for pod, answer in zip(pods, answers, strict=True):
            name = pod["metadata"]["name"]
            ours = named.get(name)
            difference = _difference(ours, answer, f"/{name}:" in refused)
            stored_pods += not isinstance(answer, str)
            if difference:
                differences.append(f"{json.dumps(pod)}\n  in {ranges[1]['spec']}\n  {difference}\n  {answer}")
        cluster.kubectl("delete", "namespace", space, "--wait=false")
    assert not differences, f"{len(differences)} differ; the first:\n" + "\n".join(differences[:3])
    assert stored_pods > NAMESPACES * PODS * 0.2


def _difference(ours: dict[str, Any] | None, answer: str | dict[str, Any], named: bool) -> str:
    """Return what differs; empty if nothing does."""
    refusals = [one["sentence"] for one in ours["warnings"] if one["severity"] == "Refused"] if ours else []
    if isinstance(answer, str):
        return "" if refusals or named else "theirs is refused, ours is not"
    if ours is None or refusals:
        return f"ours is refused, theirs is not: {refusals}"
    spec = answer["spec"]
    found = {
        "qosClass": (ours["qosClass"], answer["status"]["qosClass"]),
        "priority": (ours["priority"], spec["priority"]),
    }
    theirs = {
        one["name"]: one.get("resources", {})
        for one in (*spec.get("initContainers", []), *spec["containers"])
    }
    for container in ours["containers"]:
        for part in ("requests", "limits"):
            stored = theirs[container["name"]].get(part, {})
            found[f"{container['name']}.{part}"] = (
                (container[part]["cpuMilli"] or 0, container[part]["memoryBytes"] or 0),
                (_amount(stored.get("cpu"), 3), _amount(stored.get("memory"), 0)),
            )
    return ", ".join(f"{name}: {one} != {other}" for name, (one, other) in found.items() if one != other)


def _amount(text: str | None, scale: int) -> int:
    quantity = parse(text or "0")
    return quantity.milli() if scale else quantity.value()


def _items(chance: random.Random) -> list[dict[str, Any]]:
    item: dict[str, Any] = {"type": "Container"}
    if chance.random() < 0.7:
        item["default"] = {"cpu": "500m", "memory": "512Mi"}
    if chance.random() < 0.7:
        item["defaultRequest"] = {"cpu": "100m", "memory": "256Mi"}
    if chance.random() < 0.3:
        item["max"] = {"memory": "2Gi"}
        item.pop("default", None)
        item.pop("defaultRequest", None)
    return [item]


def _pod(chance: random.Random, space: str, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [_container(f"c{n}", chance) for n in range(chance.randint(1, 2))]}
    if chance.random() < 0.3:
        spec["initContainers"] = [_container("i0", chance)]
        if chance.random() < 0.5:
            spec["initContainers"][0]["restartPolicy"] = "Always"
    if chance.random() < 0.25:
        spec["resources"] = chance.choice(
            [{}, _resources(chance), {"requests": {"cpu": "2", "memory": "4Gi"}}]
        )
    if chance.random() < 0.2:
        spec["priorityClassName"] = "explain-batch"
    if chance.random() < 0.2:
        spec["runtimeClassName"] = "explain-kata"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space},
        "spec": spec,
    }


def _container(name: str, chance: random.Random) -> dict[str, Any]:
    return {"name": name, "image": "cart", "resources": _resources(chance)}


def _resources(chance: random.Random) -> dict[str, Any]:
    return {
        part: {
            resource: chance.choice(texts)
            for resource, texts in QUANTITIES.items()
            if chance.random() < OFTEN.get(resource, 0.04)
        }
        for part in ("requests", "limits")
        if chance.random() < 0.8
    }


def _knows(cluster: ControlPlane, space: str) -> bool:
    limits = {"limits": {"ephemeral-storage": "2Gi"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe"},
        "spec": {"containers": [{"name": "c", "image": "c", "resources": limits}]},
    }
    (said,) = asyncio.run(_create(cluster.kubeconfig, space, [pod]))
    return isinstance(said, str) and "maximum ephemeral-storage usage" in said


async def _create(kubeconfig: str, space: str, pods: list[dict[str, Any]]) -> list[str | dict[str, Any]]:
    """Return each pod as it would be stored, or why it is refused."""
    client = Client(load_config(kubeconfig))
    answers: list[str | dict[str, Any]] = []
    for pod in pods:
        try:
            stored = await client.raw(
                "POST",
                f"/api/v1/namespaces/{space}/pods",
                body=json.dumps(pod).encode(),
                content_type="application/json",
                query={"dryRun": "All"},
            )
            answers.append(json.loads(stored))
        except ApiError as error:
            answers.append(error.message)
    await client.close()
    return answers
