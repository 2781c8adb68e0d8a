"""The text of ``overbook status namespace``: sums, switches, and the pods, worst first."""

from collections.abc import Iterator
from typing import Final

from overbook.cli.commands.explain.pod_text import level_words, wrapped
from overbook.cli.output import BOLD, columns, painted
from overbook.core.text import cores, counted, shown, shown_or
from overbook.status.report import NamespacePod, NamespaceStatusReport

MANY: Final = 40
"""Up to this number every pod has its line."""


def render_namespace_status(report: NamespaceStatusReport, *, details: bool = False) -> Iterator[str]:
    """The lines of the report; ``details``: a line for every pod, also if there are many."""
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


def _level(pod: NamespacePod) -> str:
    percent = pod.overcommit.memory_percent
    if percent is not None:
        return f"{percent} %"
    return "no limit" if pod.requests.memory_bytes else "no request"


def _limit(text: str, without: int) -> str:
    return f"{text} ({counted(without, 'pod')} without)" if without else text
