"""The text of ``explain``: the node, the pods in full or in one line each, and the kill order."""

from collections.abc import Iterator
from typing import Final

from overbook.cli.commands.explain.pod_text import (
    left_out_line,
    level_words,
    pod_lines,
    warning_lines,
    wrapped,
)
from overbook.cli.output import BOLD, column_lines, columns, painted
from overbook.core.kubernetes.version import PINNED
from overbook.core.text import cores, counted, percent_of, shown, shown_or
from overbook.explain.report import Explanation, IdleReport, KillOrder, PodReport

MANY: Final = 20
"""Up to this number every pod is shown in full."""
_ORDER_SHOWN: Final = 12


def render(report: Explanation, *, details: bool = False) -> Iterator[str]:
    """The lines of the whole report."""
    yield from _node_lines(report)
    if len(report.pods) > MANY and not details:
        yield ""
        yield from _summary_lines(report.pods)
    else:
        for pod in report.pods:
            yield ""
            yield from pod_lines(pod, several=len(report.pods) > 1)
    if len(report.pods) > 1 and report.totals.pods:
        yield ""
        yield from _total_lines(report)
        yield ""
        yield from _order_lines(report.kill_order)
    if report.warnings or report.ignored or report.idle:
        yield ""
    for warning in report.warnings:
        yield from warning_lines(warning)
    if report.idle and report.totals.pods:
        yield from _idle_lines(report.idle)
    if report.ignored:
        yield left_out_line(report.ignored)


def _node_lines(report: Explanation) -> Iterator[str]:
    node = report.node
    cpu = f", {cores(node.cpu_milli)} CPUs" if node.cpu_milli else ""
    huge = f", {shown(node.huge_pages_bytes)} of it huge pages" if node.huge_pages_bytes else ""
    yield f"node    {shown(node.memory_bytes)} of RAM ({node.memory_from}){huge}{cpu}"
    yield f"swap    {shown(node.swap_bytes)} ({node.swap_from}); {node.percent} % ({node.percent_from})"
    quota = "" if node.cpu_quota else f"; CPU limits are not enforced ({node.cpu_quota_from})"
    version = "" if node.kubernetes == PINNED.text else f"; Kubernetes {node.kubernetes}"
    policy = f"{node.eligibility} may swap; allowance {node.allowance}; KubeVirt {node.kubevirt}"
    yield f"policy  {policy}{version}{quota}"


def _summary_lines(pods: tuple[PodReport, ...]) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("POD", "QOS", "CPU", "MEMORY", "LIMIT", "GUEST", "SWAP", "OOM", "!")]
    texts: dict[str, str] = {}  # of many pods most texts are the same
    for pod in pods:
        score = max(container.oom_score_adj for container in pod.containers)
        worst = {warning.severity for warning in pod.warnings} - {"Note"}
        name = pod.name if len(pod.name) <= 48 else pod.name[:45] + "..."
        cells = (
            pod.qos_class + (" VM" if pod.virtual_machine else ""),
            cores(pod.requests.cpu_milli),
            shown_or(pod.requests.memory_bytes),
            shown_or(pod.limits.memory_bytes),
            shown_or(pod.guest_bytes),
            shown(pod.swap_max_bytes) if pod.swap_max_bytes else "-",
            str(score),
            "!" if worst else "",
        )
        times = f" ×{pod.replicas}" if (pod.replicas or 1) != 1 else ""
        rows.append((name + times, *(texts.setdefault(cell, cell) for cell in cells)))
    lines = column_lines(rows, frozenset((2, 3, 4, 5, 6, 7)))
    yield painted(next(lines), BOLD)
    yield from lines
    if any(row[-1] == "!" for row in rows[1:]):
        yield "! has an important warning: see --details"


def _total_lines(report: Explanation) -> Iterator[str]:
    totals, node = report.totals, report.node
    memory = node.memory_bytes - node.huge_pages_bytes
    classes = ", ".join(f"{count} {name}" for name, count in totals.by_qos_class.items())
    yield painted(f"{totals.pods} pods together", BOLD) + f" ({classes})"
    requests, limits = totals.requests.memory_bytes or 0, totals.limits.memory_bytes or 0
    unlimited = totals.pods_without_memory_limit
    rows = [
        ("memory requested", shown(requests), f"{percent_of(requests, memory)} of RAM"),
        (
            "memory limits",
            shown(limits),
            f"{percent_of(limits, memory)} of RAM" + (f"; {unlimited} pods have none" if unlimited else ""),
        ),
        (
            "guest memory",
            shown(totals.guest_bytes),
            f"{totals.promised_percent} % of RAM is promised to VMs",
        ),
        (
            "swap allowances",
            shown(totals.swap_max_bytes),
            f"{percent_of(totals.swap_max_bytes, node.swap_bytes)} of swap"
            if node.swap_bytes
            else "of no swap",
        ),
        (
            "cpu requested",
            cores(totals.requests.cpu_milli),
            _of_cpus(totals.requests.cpu_milli, node.cpu_milli),
        ),
    ]
    yield from columns(rows, frozenset((1,)), "  ")
    yield f"  overcommit level: {level_words(totals.overcommit)}"
    if len(report.namespaces) > 1:
        for namespace in report.namespaces[:MANY]:
            pods = counted(namespace.pods, "pod")
            yield f"    {namespace.name} ({pods}): {level_words(namespace.overcommit)}"
    if totals.overcommitted:
        yield from wrapped(f"the node is overcommitted: {'; '.join(totals.causes)}", "  ", "    ")
    else:
        yield "  the node is not overcommitted: every pod has requests, and the limits fit"


def _idle_lines(idle: tuple[IdleReport, ...]) -> Iterator[str]:
    yield painted("not counted, as no pod of it runs", BOLD)
    rows = []
    for one in idle[:MANY]:
        state = one.field if one.state == "idle" else f"{one.state} ({one.field})"
        wants = (
            f"would request cpu {cores(one.requests.cpu_milli)}, memory {shown_or(one.requests.memory_bytes)}"
        )
        rows.append((f"{one.kind} {one.object}", state, wants))
    yield from columns(rows, indent="  ")
    if len(idle) > MANY:
        yield f"  … and {len(idle) - MANY} more; --output json shows all"


def _of_cpus(milli: int | None, capacity: int | None) -> str:
    return f"{percent_of(milli or 0, capacity)} of {cores(capacity)} CPUs" if capacity else ""


def _order_lines(order: tuple[KillOrder, ...]) -> Iterator[str]:
    yield painted("what the kernel kills first", BOLD)
    yield from wrapped(
        "(the share of memory in thousandths is added to oom_score_adj; this is the order at equal use)",
        "  ",
        "  ",
    )
    shown_places = [
        (f"{place.oom_score_adj}", f"{place.pod} {place.container}") for place in order[:_ORDER_SHOWN]
    ]
    yield from columns(shown_places, frozenset((0,)), "  ")
    if len(order) > _ORDER_SHOWN:
        yield f"  … and {len(order) - _ORDER_SHOWN} more; --output json shows all"
