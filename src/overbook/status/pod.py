"""One pod in the cluster: its resources on its node, its place among the candidates, and its history.

What is read: the pod, its node, that node's pods and ``OvercommitNode``, the ``Overcommit``, KubeVirt's
settings, the pod's events, and the labels of its namespace.
"""

import contextlib

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubevirt.overhead import MAIN
from overbook.core.overcommit.allowance import SwapPolicy, allowances
from overbook.explain.inventory import Found
from overbook.explain.node import ExplainedNode
from overbook.explain.pod import describe, prepare
from overbook.explain.report import PodReport
from overbook.kube.api.errors import ApiError
from overbook.kube.api.kinds import EVENTS, NAMESPACES, PODS
from overbook.kube.api.objects import CoreEvent
from overbook.status.build import build_node
from overbook.status.cluster_findings import findings
from overbook.status.history import Happening, history_of, place_of
from overbook.status.read import ClusterReader
from overbook.status.report import PodStatusReport
from overbook.status.view import Clusterwide, NodeView

_COMPONENTS = "overbook"


async def pod_status(reading: ClusterReader, name: str, namespace: str | None, now: float) -> PodStatusReport:
    """Everything about one pod.

    Raises:
        InvalidInput: the name is malformed, or there is no such pod and no report about one.
        KubeError: the API server does not answer, or the pod may not be read.
    """
    namespace, name = _named(name, namespace or reading.client.config.namespace)
    label = f"{namespace}/{name}"
    pod = await _pod(reading, namespace, name)
    reports = await reading.or_unread("overcommitnodes", reading.reports) or {}
    uid = pod.metadata.uid if pod else None
    history = tuple(history_of(label, uid, ((node, report.status) for node, report in reports.items())))
    events = await _events(reading, namespace, name)
    if pod is None:
        if not history and not events:
            raise InvalidInput("pod", label, "an existing pod, or one that Overbook has evicted")
        return PodStatusReport(label, None, None, None, history, events, (), tuple(reading.unread))
    node_name = pod.spec.node_name
    cluster, nodes = await _node(reading, node_name, now)
    view = nodes[0] if nodes else NodeView(name=node_name or "")
    return PodStatusReport(
        name=label,
        pod=_described(pod, view, cluster, await _namespace_labels(reading, namespace)),
        node=build_node(view, cluster) if nodes else None,
        place=place_of(pod, view) if nodes else None,
        history=history,
        events=events,
        findings=findings(cluster, nodes) if nodes else (),
        unread=tuple(reading.unread),
        ended=(pod.status.phase or "") if pod.status is not None and pod.has_ended else "",
    )


def _named(text: str, namespace: str) -> tuple[str, str]:
    before, slash, after = text.partition("/")
    named = (before, after) if slash else (namespace, text)
    if not all(named) or "/" in named[1]:
        raise InvalidInput("pod", text, "NAMESPACE/NAME, or NAME with --namespace")
    return named


async def _pod(reading: ClusterReader, namespace: str, name: str) -> Pod | None:
    try:
        return await reading.client.get(PODS, name, namespace)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


async def _node(
    reading: ClusterReader, name: str | None, now: float
) -> tuple[Clusterwide, tuple[NodeView, ...]]:
    """The pod's node, if it has one that exists."""
    if name is not None:
        with contextlib.suppress(InvalidInput):
            return await reading.cluster([name], "", now)
    return Clusterwide(unread=tuple(reading.unread)), ()


async def _namespace_labels(reading: ClusterReader, namespace: str) -> dict[str, str]:
    found = await reading.or_unread("namespaces", lambda: reading.client.get(NAMESPACES, namespace))
    return (found.metadata.labels if found else None) or {}


async def _events(reading: ClusterReader, namespace: str, name: str) -> tuple[Happening, ...]:
    async def listed() -> list[CoreEvent]:
        about = f"involvedObject.kind=Pod,involvedObject.name={name}"
        return [event async for event in reading.client.list(EVENTS, namespace, field_selector=about)]

    events = [
        Happening(_when(event), event.reason, event.message, event.source.component)
        for event in await reading.or_unread("events", listed) or ()
        if event.source is not None and event.source.component.startswith(_COMPONENTS)
    ]
    return tuple(sorted(events, key=lambda one: one.at or "", reverse=True))


def _when(event: CoreEvent) -> str | None:
    return event.last_timestamp or event.first_timestamp or event.metadata.creation_timestamp


def _described(pod: Pod, view: NodeView, cluster: Clusterwide, labels: dict[str, str]) -> PodReport:
    """The pod as ``explain`` describes it, on its node; without a node yet, on one of size 0."""
    node = ExplainedNode(
        memory_bytes=view.ram_bytes or 0,
        swap_bytes=view.swap_bytes or 0,
        cpu_milli=view.capacity.cpu_milli,
        policy=SwapPolicy(percent=cluster.percent),
        running=MAIN,
        cpu_quota=True,
        cpu_quota_from="not asked",
        memory_from=view.name,
        swap_from=view.name,
        percent_from="cluster",
        huge_pages_bytes=view.status.memory.hugetlb_bytes if view.status else 0,
    )
    where = f"on node {view.name}" if view.name else "on no node yet"
    prepared = prepare(Found(where, "Pod", pod.label, pod), node, labels)
    swap = allowances(prepared.facts.containers, node.memory_bytes, node.swap_bytes, node.policy)
    return describe(prepared, node, list(swap), 1.0)
