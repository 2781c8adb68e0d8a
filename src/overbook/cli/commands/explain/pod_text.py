"""The full report on one pod, as text of 80 to 110 columns."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Final

from overbook.cli.output import BOLD, RED, YELLOW, columns, painted
from overbook.core.kubevirt.vm import COMPUTE_CONTAINER
from overbook.core.text import cores, shown, shown_or
from overbook.explain.report import ContainerReport, OvercommitLevel, PodReport, Warned

_WIDTH: Final = 100
_UNDEFINED: Final = {"NoLimit": "unbounded (no limit)", "NoRequest": "undefined (no request)"}


def pod_lines(pod: PodReport, *, several: bool) -> Iterator[str]:
    """The lines for one pod; ``several``: whether there are other pods that share the CPU."""
    origin = "" if pod.kind == "Pod" else f", which {pod.kind} {pod.object} becomes"
    times = f", ×{pod.replicas}" if (pod.replicas or 1) != 1 else ""
    yield painted(f"Pod {pod.name}", BOLD) + f"{origin}{times}  [{pod.where}]"
    facts = [
        ("QoS class", f"{pod.qos_class}: {pod.qos_reason}"),
        ("requests", f"cpu {cores(pod.requests.cpu_milli)}, memory {shown_or(pod.requests.memory_bytes)}"),
        ("limits", f"cpu {cores(pod.limits.cpu_milli)}, memory {shown_or(pod.limits.memory_bytes)}"),
        ("overcommit", level_words(pod.overcommit)),
    ]
    if pod.virtual_machine:
        facts.append(("guest", _guest(pod)))
    facts.append(("pod cgroup", _pod_cgroup(pod)))
    if not pod.cpu_quota.enforced:
        facts.append(("CPU quota", pod.cpu_quota.sentence))
    if several:
        facts.append(
            ("spare CPU", f"{pod.cpu_share_of_node_percent} % of the node's if all these pods want it")
        )
    facts.append(("evicted", f"by the kubelet {pod.eviction}"))
    for name, text in facts:
        yield from wrapped(text, f"  {name:<11} ", " " * 14)
    yield from _container_lines(pod)
    yield from _swap_lines(pod)
    for warning in pod.warnings:
        yield from warning_lines(warning, "  ")


def warning_lines(warning: Warned, indent: str = "") -> list[str]:
    """A warning as lines; the colour of its first word shows the severity."""
    code = {"Refused": RED, "Danger": RED, "Note": YELLOW}[warning.severity]
    word = {"Refused": "refused by the API server", "Danger": "danger", "Note": "note"}[warning.severity]
    lines = wrapped(f"{word}: {warning.sentence}", indent, indent + "  ")
    lines[0] = lines[0].replace(f"{word}:", painted(f"{word}:", code), 1)
    return lines


def left_out_line(ignored: Mapping[str, int]) -> str:
    """What is left out, kind by kind; empty where nothing is."""
    what = ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items()))
    return f"left out: {what}" if what else ""


def level_words(level: OvercommitLevel) -> str:
    """An overcommit level in words."""
    parts = []
    for name, percent, undefined in (
        ("cpu", level.cpu_percent, level.cpu_undefined),
        ("memory", level.memory_percent, level.memory_undefined),
    ):
        parts.append(
            f"{name} {_UNDEFINED.get(undefined or '', '')}" if percent is None else f"{name} {percent} %"
        )
    return ", ".join(parts)


def wrapped(text: str, first: str, rest: str) -> list[str]:
    """A paragraph with a hanging indent."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _guest(pod: PodReport) -> str:
    if pod.guest_bytes is None:
        return "size not known from this manifest alone"
    overhead = f" + {shown(pod.overhead_bytes)} overhead" if pod.overhead_bytes else ""
    source = " (derived from its request)" if pod.guest_from == "Request" else ""
    # The containers beside the guest's request and swap for themselves.
    parts = [one for one in pod.containers if one.name == COMPUTE_CONTAINER] or pod.containers
    ordinary = sum((one.requests.memory_bytes or 0) + one.swap.max_bytes for one in parts)
    needed = pod.guest_bytes + (pod.overhead_bytes or 0)
    missing = needed - ordinary - pod.hugepages_bytes
    verdict = "covers all of it" if missing <= 0 else f"{shown(missing)} are not covered"
    pages = f"large pages {shown(pod.hugepages_bytes)}, " if pod.hugepages_bytes else ""
    return (
        f"{shown(pod.guest_bytes)}{overhead}{source}; {pages}request and swap: {shown(ordinary)}, {verdict}"
    )


def _pod_cgroup(pod: PodReport) -> str:
    quota = "not set" if pod.cpu_quota_micros is None else str(pod.cpu_quota_micros)
    memory = "not set" if pod.memory_max_bytes is None else shown(pod.memory_max_bytes)
    return f"cpu.weight {pod.cpu_weight}, cpu.max {quota}, memory.max {memory}"


def _container_lines(pod: PodReport) -> list[str]:
    rows = [
        ("CONTAINER", "cpu.weight", "of pod", "cpu.max", "memory.max", "memory.swap.max", "oom_score_adj")
    ]
    for container in pod.containers:
        quota = "max" if container.cpu_quota_micros is None else str(container.cpu_quota_micros)
        share = container.cpu_share_of_pod_percent
        role = "" if container.role == "Container" else f" ({container.role.lower()})"
        rows.append(
            (
                container.name + role,
                str(container.cpu_weight),
                "-" if share is None else f"{share} %",
                f"{quota} {container.cpu_period_micros}",
                shown_or(container.memory_max_bytes, "max"),
                shown(container.swap.max_bytes),
                str(container.oom_score_adj),
            )
        )
    return columns(rows, frozenset(range(1, 7)), "  ")


def _swap_lines(pod: PodReport) -> Iterator[str]:
    alike: dict[str, list[str]] = {}
    for container in pod.containers:
        alike.setdefault(_swap(container), []).append(container.name)
    for text, names in alike.items():
        yield from wrapped(f"{', '.join(names)}: {text}", "  swap        ", " " * 14)


def _swap(container: ContainerReport) -> str:
    swap = container.swap
    if swap.reason != "Eligible":
        return f"none: {swap.sentence}"
    capped = f", {shown(swap.wanted_bytes)} wanted" if swap.wanted_bytes != swap.max_bytes else ""
    return f"{shown(swap.max_bytes)}{capped}: {swap.sentence}"
