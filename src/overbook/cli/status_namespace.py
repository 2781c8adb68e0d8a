"""``overbook status namespace``: sums, the marks in force, and the pods, worst first."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

from overbook.cli.build_pod import level, shown_amounts
from overbook.cli.output import BOLD, columns, painted
from overbook.cli.render_pod import level_words, wrapped
from overbook.cli.status_build import build_sums
from overbook.cli.status_read import PAGE, RUNNING, Reading
from overbook.cli.status_shape import NamespacePod, NamespaceStatusReport
from overbook.cli.status_views import percent_of
from overbook.cli.units import cores, shown_or
from overbook.core.cluster_view import Clusterwide
from overbook.core.errors import InvalidInput
from overbook.core.namespace_marks import marks
from overbook.core.pod import Pod
from overbook.core.pod_sums import NO_PODS, PodSums, Summing
from overbook.core.qos import qos_class
from overbook.core.readable import counted, shown
from overbook.core.resources import Amounts
from overbook.kube.errors import ApiError
from overbook.kube.kinds import NAMESPACES, PODS
from overbook.kube.objects import Namespace

MANY: Final = 40
"""Up to here every pod has its line."""


async def namespace_status(reading: Reading, name: str) -> NamespaceStatusReport:
    """Everything about one namespace.

    Raises:
        InvalidInput: there is no such namespace.
        KubeError: the API server does not answer, or the pods may not be read.
    """
    namespace = await reading.or_unread("namespaces", lambda: _namespace(reading, name))
    overcommit = await reading.overcommit()
    kubevirt = await reading.kubevirt() if overcommit is None else None
    percent = Clusterwide(overcommit=overcommit, kubevirt_percent=percent_of(kubevirt)).percent
    total = NO_PODS
    pods: list[NamespacePod] = []
    summing = Summing(percent)
    async for pod in _pods(reading, name):
        sums = summing.of(pod)
        total += sums
        pods.append(_build_pod(pod, sums))
    metadata = namespace.metadata if namespace else None
    return NamespaceStatusReport(
        name=name,
        sums=build_sums(total),
        marks=marks(metadata.labels, metadata.annotations) if metadata else (),
        pods=tuple(sorted(pods, key=_badness)),
        unread=tuple(reading.unread),
    )


def render_namespace_status(report: NamespaceStatusReport, *, details: bool = False) -> Iterator[str]:
    """The lines of the answer; ``details``: a line for every pod, also where there are many."""
    sums = report.sums
    counts = f"{counted(sums.pods, 'pod')}, {counted(sums.virtual_machines, 'virtual machine')}"
    yield f"{painted(f'Namespace {report.name}', BOLD)}: {counts}"
    yield f"  requests    cpu {cores(sums.requests.cpu_milli)}, memory {shown_or(sums.requests.memory_bytes)}"
    cpu = _limit(cores(sums.limits.cpu_milli), sums.pods_without_cpu_limit)
    memory = _limit(shown_or(sums.limits.memory_bytes), sums.pods_without_memory_limit)
    yield f"  limits      cpu {cpu}, memory {memory}"
    yield f"  overcommit  {level_words(sums.overcommit)}"
    if sums.virtual_machines:
        yield f"  guests      {shown(sums.guest_bytes)} promised"
    for mark in report.marks:
        yield from wrapped(f"{mark.name}: {mark.value}: {mark.sentence}", "  set         ", " " * 14)
    for one in report.unread:
        yield from wrapped(f"{one.resource} cannot be read: {one.message}", "  note        ", " " * 14)
    if report.pods:
        yield ""
        yield from _pod_lines(report.pods if details else report.pods[:MANY])
    if len(report.pods) > MANY and not details:
        yield f"… and {len(report.pods) - MANY:,} more pods; --details shows all"


def _pod_lines(pods: tuple[NamespacePod, ...]) -> Iterator[str]:
    rows = [("POD", "QOS", "CPU", "CPU-LIM", "MEMORY", "MEM-LIM", "LEVEL", "GUEST", "NODE")]
    rows += [
        (
            pod.name,
            pod.qos_class,
            cores(pod.requests.cpu_milli),
            cores(pod.limits.cpu_milli),
            shown_or(pod.requests.memory_bytes),
            shown_or(pod.limits.memory_bytes),
            _level(pod),
            shown_or(pod.guest_bytes),
            pod.node or "-",
        )
        for pod in pods
    ]
    lines = columns(rows, frozenset(range(2, 8)))
    yield painted(lines[0], BOLD)
    yield from lines[1:]


async def _namespace(reading: Reading, name: str) -> Namespace:
    try:
        return await reading.client.get(NAMESPACES, name)
    except ApiError as error:
        if error.status == 404:
            raise InvalidInput("namespace", name, "a namespace that is there") from error
        raise


def _pods(reading: Reading, namespace: str) -> AsyncIterator[Pod]:
    return reading.client.list(PODS, namespace, field_selector=RUNNING, limit=PAGE)


def _build_pod(pod: Pod, sums: PodSums) -> NamespacePod:
    cpu, memory = sums.levels.cpu, sums.levels.memory
    return NamespacePod(
        name=pod.metadata.name,
        node=pod.spec.node_name,
        qos_class=qos_class(pod),
        requests=shown_amounts(Amounts.of(cpu.requested, memory.requested)),
        limits=shown_amounts(Amounts.of(cpu.limited, memory.limited)),
        overcommit=level(sums.levels),
        guest_bytes=sums.guest_bytes if sums.virtual_machines else None,
    )


def _badness(pod: NamespacePod) -> tuple[int, int, str]:
    """Pods that nothing bounds first: those that ask for nothing, those without a limit, then by level."""
    memory = pod.overcommit
    bounded = memory.memory_percent is not None
    return 2 * bounded + bool(pod.requests.memory_bytes), -(memory.memory_percent or 0), pod.name


def _level(pod: NamespacePod) -> str:
    percent = pod.overcommit.memory_percent
    if percent is not None:
        return f"{percent} %"
    return "no limit" if pod.requests.memory_bytes else "no request"


def _limit(text: str, without: int) -> str:
    return f"{text} ({counted(without, 'pod')} without)" if without else text
