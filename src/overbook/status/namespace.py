"""One namespace: the overcommit of its pods, and the effect of its labels and annotations."""

from collections.abc import AsyncIterator

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.qos import QosClass
from overbook.core.kubernetes.resources import Amounts
from overbook.explain.pod import level, shown_amounts
from overbook.kube.api.errors import ApiError
from overbook.kube.api.kinds import NAMESPACES, PODS
from overbook.kube.api.objects import Namespace
from overbook.status.build import build_sums
from overbook.status.marks import marks
from overbook.status.read import PAGE, RUNNING, ClusterReader, percent_of
from overbook.status.report import NamespacePod, NamespaceStatusReport
from overbook.status.sums import NO_PODS, PodSums, Summing
from overbook.status.view import Clusterwide


async def namespace_status(reading: ClusterReader, name: str) -> NamespaceStatusReport:
    """Everything about one namespace.

    Raises:
        InvalidInput: there is no such namespace.
        KubeError: the API server does not answer, or the pods may not be read.
    """
    namespace = await reading.or_unread("namespaces", lambda: _namespace(reading, name))
    overcommit = await reading.overcommit()
    kubevirt = await reading.kubevirt() if overcommit is None else None
    machines = await reading.or_unread(
        "virtualmachineinstances", lambda: reading.machines(None, kubevirt, name)
    )
    percent = Clusterwide(overcommit=overcommit, kubevirt_percent=percent_of(kubevirt)).percent
    total = NO_PODS
    pods: list[NamespacePod] = []
    summing = Summing(percent)
    async for pod in _pods(reading, name):
        sums, quality = summing.with_class(pod)
        if machines is not None and sums.virtual_machines:
            sums = machines.in_pod(pod, sums)
        total += sums
        pods.append(_build_pod(pod, sums, quality))
    metadata = namespace.metadata if namespace else None
    return NamespaceStatusReport(
        name=name,
        sums=build_sums(total),
        marks=marks(metadata.labels, metadata.annotations) if metadata else (),
        pods=tuple(sorted(pods, key=_badness)),
        unread=tuple(reading.unread),
    )


async def _namespace(reading: ClusterReader, name: str) -> Namespace:
    try:
        return await reading.client.get(NAMESPACES, name)
    except ApiError as error:
        if error.status == 404:
            raise InvalidInput("namespace", name, "an existing namespace") from error
        raise


def _pods(reading: ClusterReader, namespace: str) -> AsyncIterator[Pod]:
    return reading.client.list(PODS, namespace, field_selector=RUNNING, limit=PAGE)


def _build_pod(pod: Pod, sums: PodSums, quality: QosClass) -> NamespacePod:
    cpu, memory = sums.levels.cpu, sums.levels.memory
    return NamespacePod(
        name=pod.metadata.name,
        node=pod.spec.node_name,
        qos_class=quality,
        requests=shown_amounts(Amounts.of(cpu.requested, memory.requested)),
        limits=shown_amounts(Amounts.of(cpu.limited, memory.limited)),
        overcommit=level(sums.levels),
        guest_bytes=sums.guest_bytes if sums.virtual_machines else None,
    )


def _badness(pod: NamespacePod) -> tuple[int, int, str]:
    """The sort key of a pod: first pods without a request, then pods without a limit, then by level."""
    memory = pod.overcommit
    bounded = memory.memory_percent is not None
    return 2 * bounded + bool(pod.requests.memory_bytes), -(memory.memory_percent or 0), pod.name
