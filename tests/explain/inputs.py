"""Functions that make the objects of an input, and its report."""

import json
from typing import Any

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.version import PINNED, KubernetesVersion
from overbook.core.kubevirt.memory import LauncherPolicy
from overbook.core.kubevirt.overhead import MAIN
from overbook.core.overcommit.allowance import SwapPolicy
from overbook.explain.build import build_report
from overbook.explain.inventory import Inventory, take_inventory
from overbook.explain.node import ExplainedNode
from overbook.explain.report import Explanation, PodReport
from overbook.kube.files.manifests import read_documents

MI = 1 << 20
GI = 1 << 30


def resources(**written: Any) -> dict[str, Any]:
    return {"containers": [{"name": "a", "resources": written}]}


def pod(name: str = "p", spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """Return a pod of namespace lab, which no cluster has stored."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "lab", **metadata},
        "spec": spec or resources(requests={"memory": "1Gi"}),
    }


def workload(kind: str, version: str, name: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "lab", **more.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, **more}


def owned(kind: str, name: str, version: str = "x/v1") -> dict[str, Any]:
    owner = {"apiVersion": version, "kind": kind, "name": name, "uid": "u", "controller": True}
    return {"ownerReferences": [owner]}


def limit_range(**item: Any) -> dict[str, Any]:
    return workload("LimitRange", "v1", "sizes", {"limits": [{"type": "Container", **item}]})


def inventory(*manifests: dict[str, Any], errors: list[InvalidInput] | None = None) -> Inventory:
    """Return the inventory; errors go to the list, or are raised without one."""
    data = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}).encode()
    if errors is None:
        return take_inventory(read_documents(data, "f.json"), LauncherPolicy(), MAIN)
    documents = read_documents(data, "f.json", errors.append)
    return take_inventory(documents, LauncherPolicy(), MAIN, errors.append)


def node(version: KubernetesVersion = PINNED) -> ExplainedNode:
    return ExplainedNode(
        memory_bytes=64 * GI,
        swap_bytes=32 * GI,
        cpu_milli=16_000,
        policy=SwapPolicy(eligibility="Burstable", percent=150),
        running=MAIN,
        cpu_quota=True,
        cpu_quota_from="a test",
        memory_from="a test",
        swap_from="a test",
        percent_from="a test",
        version=version,
    )


def explained(*manifests: dict[str, Any], version: KubernetesVersion = PINNED) -> Explanation:
    return build_report(inventory(*manifests), node(version))


def explained_pod(*manifests: dict[str, Any], version: KubernetesVersion = PINNED) -> PodReport:
    """Return the report of the only pod."""
    (one,) = explained(*manifests, version=version).pods
    return one


def words(report: PodReport, severity: str = "") -> list[str]:
    return [one.word for one in report.warnings if severity in ("", one.severity)]


def sentences(report: PodReport | Explanation) -> str:
    return "\n".join(one.sentence for one in report.warnings)
