"""The text of ``overbook status``: the cluster in two lines, a line for each node, and the problems."""

from collections.abc import Iterator, Sequence
from typing import Final

from overbook.cli.commands.explain.pod_text import wrapped
from overbook.cli.output import BOLD, RED, YELLOW, columns, painted
from overbook.core.api.overcommit_node import ReliefRecord
from overbook.core.text import cores, counted, percent_of, shown
from overbook.status.findings import Gathered
from overbook.status.report import ClusterReport, ClusterSettings, NodeStatusReport, Sums, SwapReport

MANY: Final = 40
"""Up to this number every node has its line."""
STALE_SECONDS: Final = 12.0
"""Data older than this are marked as old."""
_TABLE_LINES: Final = 3
"""The lines of a table in addition to its rows."""
_NAME_WIDTH: Final = 24
_NUMBERS: Final = frozenset(range(1, 11))
_UNKNOWN: Final = "-"
PAGE_BYTES: Final = 4096
"""The size of a page where no agent says it."""
_HEADER: Final = (
    "NODE",
    "RAM",
    "ALLOC",
    "REQUESTS",
    "LIMITS",
    "GUESTS",
    "LEVEL",
    "OVER",
    "SWAP",
    "USED",
    "IN/OUT",
)
_WIDE: Final = (
    "PODS",
    "VMS",
    "PROMISED",
    "CPU",
    "CPU-REQ",
    "CPU-LIM",
    "ALLOWED",
    "OFFLOADED",
    "MIB/S",
    "WRITER",
    "STALL",
    "AGENT",
    "SEEN",
)
_CODES: Final = {"Critical": RED, "Warning": YELLOW, "Note": ""}


def render(report: ClusterReport, *, wide: bool = False, details: bool = False) -> Iterator[str]:
    """The lines of the whole report.

    Args:
        report: the report to show.
        wide: show more columns than fit into 120 characters.
        details: show a line for every node, also if there are many.
    """
    yield from settings_lines(report.settings)
    if report.totals is not None and len(report.nodes) > 1:
        yield from _total_lines(report.nodes, report.totals)
    yield from offload_lines(report.nodes)
    if report.nodes:
        yield ""
    many = len(report.nodes) > MANY and not details
    nodes = sorted(report.nodes, key=badness)[:MANY] if many else report.nodes
    yield from node_lines(nodes, wide=wide)
    if many:
        yield f"… and {len(report.nodes) - MANY:,} more nodes in a better state; --details shows all"
    yield ""
    yield from finding_lines(report.findings)


def picture(report: ClusterReport, size: tuple[int, int] | None, *, wide: bool = False) -> list[str]:
    """The lines for a live view: as many as fit on the screen, worst first.

    Args:
        report: the report to show.
        size: columns and lines of the screen; ``None``: unlimited.
        wide: show more columns.
    """
    old = report.seconds_old
    age = painted(f"data {_age(old)} old: the API server does not answer", RED) if old > STALE_SECONDS else ""
    if size is None:
        return [*filter(None, [age]), *render(report, wide=wide)]
    head = [*settings_lines(report.settings)]
    if report.totals is not None:
        head += _total_lines(report.nodes, report.totals)
    head += offload_lines(report.nodes)
    head += [age or "q ends", ""]
    room = max(4, size[1] - len(head) - 1)
    wrong = list(finding_lines(report.findings))
    nodes = report.nodes
    most_wrong = max(room // 2, room - len(nodes) - _TABLE_LINES)
    wrong = wrong if len(wrong) <= most_wrong else [*wrong[: most_wrong - 1], "  …"]
    room_for_nodes = max(1, room - len(wrong) - _TABLE_LINES)
    if len(nodes) > room_for_nodes:
        nodes = tuple(sorted(nodes, key=badness)[:room_for_nodes])
    return [*head, *node_lines(nodes, wide=wide), "", *wrong]


def settings_lines(settings: ClusterSettings) -> Iterator[str]:
    """The lines with the cluster's settings and the leader."""
    paused = painted(", paused", YELLOW) if settings.paused else ""
    yield f"cluster  {settings.percentage} % ({settings.percentage_from}), mode {settings.mode}{paused}"
    leader = settings.controller
    if leader is not None and leader.leads:
        yield f"leader   {leader.holder}, seen {_age(leader.age_seconds)} ago"


def node_lines(nodes: Sequence[NodeStatusReport], *, wide: bool = False) -> Iterator[str]:
    """The lines of the table: sizes in GiB, traffic in pages per second, and wide also in MiB."""
    if not nodes:
        return
    rows = [(*_HEADER, *(_WIDE if wide else ()))]
    rows += [(*_row(node), *(_wide(node) if wide else ())) for node in nodes]
    right = _NUMBERS | frozenset(range(len(_HEADER), len(_HEADER) + 9)) if wide else _NUMBERS
    aligned = columns(rows, right - {7}, pad_last=True)
    yield painted(f"{aligned[0]}  STATE", BOLD)
    for line, node in zip(aligned[1:], nodes, strict=True):
        words, code = state(node)
        yield f"{line}  {painted(words, code) if code else words}"
    pages = sorted({node.swap.page_bytes or PAGE_BYTES for node in nodes})
    of = " or ".join(f"{size >> 10}" for size in pages)
    yield f"sizes in GiB; SWAP: present/needed for the percentage; IN/OUT: pages/s of {of} KiB"
    if any(row[4].endswith("+") for row in rows[1:]):
        yield "+ at least: some pods have no limit"


def finding_lines(findings: Sequence[Gathered]) -> Iterator[str]:
    """The lines with the problems, worst first, each with the command that fixes it."""
    if not findings:
        yield "nothing is wrong"
        return
    yield painted("what is wrong, worst first", BOLD)
    for finding in findings:
        code = _CODES[finding.severity]
        word = finding.severity.lower()
        first, *rest = wrapped(f"{word:<8}  {finding.sentence}", "  ", " " * 12)
        yield first.replace(word, painted(word, code), 1) if code else first
        yield from rest
        if finding.fix:
            yield f"            $ {finding.fix}"


def badness(node: NodeStatusReport) -> tuple[object, ...]:
    """The sort key of a node: nodes with problems come first."""
    pressure = node.pressure.state if node.pressure else "None"
    agent = node.agent
    swap = node.swap
    return (
        ("Critical", "Pressure", "None").index(pressure),
        agent is not None and not agent.silent,
        not node.tainted,
        node.ready is not False,
        (swap.size_bytes or 0) - (swap.demanded_bytes or 0),
        -(node.promised_percent or 0),
        node.name,
    )


def state(node: NodeStatusReport) -> tuple[str, str]:
    """A node's state in words, and their colour."""
    words, code = [], ""
    pressure = node.pressure.state if node.pressure else "None"
    if pressure != "None":
        words.append("critical" if pressure == "Critical" else "pressure")
        code = RED if pressure == "Critical" else YELLOW
    if node.tainted:
        words.append("tainted")
    if node.relief is not None and node.relief.stage:
        words.append(_relief(node.relief))
    if not node.agent_known:
        words.append("agent not known")
    elif node.agent is None:
        words.append("no agent")
        code = RED
    elif node.agent.silent:
        words.append(f"agent silent {_age(node.agent.age_seconds)}")
        code = RED
    if node.ready is False:
        words.append("not ready")
        code = RED
    if words and not code:
        code = YELLOW
    return ", ".join(words) or "calm", code


def gibibytes(number_bytes: int | None) -> str:
    """A size in GiB with one decimal, for columns that are compared down."""
    return _UNKNOWN if number_bytes is None else f"{number_bytes / (1 << 30):.1f}"


def _total_lines(nodes: Sequence[NodeStatusReport], total: Sums) -> Iterator[str]:
    ram, ordinary = _sum_of(nodes)
    swap = sum(node.swap.size_bytes or 0 for node in nodes)
    pods = f"{counted(total.pods, 'pod')}, {counted(total.virtual_machines, 'virtual machine')}"
    requested, promised = total.requests.memory_bytes or 0, total.guest_bytes
    yield f"nodes    {len(nodes):,} with {shown(ram)} of RAM, {shown(swap)} of swap; {pods}"
    yield (
        f"memory   {shown(requested)} requested ({percent_of(requested, ordinary)} of RAM), "
        f"{shown(promised)} promised to VMs ({percent_of(promised, ordinary)})"
    )


def _sum_of(nodes: Sequence[NodeStatusReport]) -> tuple[int, int]:
    """The RAM of all nodes, and that without huge pages."""
    return sum(node.ram_bytes or 0 for node in nodes), sum(node.ordinary_bytes or 0 for node in nodes)


def offload_lines(nodes: Sequence[NodeStatusReport]) -> Iterator[str]:
    """The line on memory that is swapped out ahead of need; none where there is no such memory."""
    bought = sum(node.offloaded_bytes or 0 for node in nodes)
    would = sum(node.offloadable_bytes or 0 for node in nodes)
    parts = []
    if bought:
        _, ram = _sum_of(nodes)
        parts.append(f"{shown(bought)} of cold memory is kept in swap ({percent_of(bought, ram)} of RAM)")
    if would:
        parts.append(f"{shown(would)} of cold memory would be swapped out, which is only observed")
    if parts:
        yield f"offload  {'; '.join(parts)}"


def _row(node: NodeStatusReport) -> tuple[str, ...]:
    sums, swap = node.sums, node.swap
    name = node.name if len(node.name) <= _NAME_WIDTH else f"{node.name[: _NAME_WIDTH - 1]}…"
    return (
        name,
        gibibytes(node.ram_bytes),
        gibibytes(node.allocatable.memory_bytes),
        gibibytes(sums.requests.memory_bytes or 0) if sums else _UNKNOWN,
        _limits(sums),
        gibibytes(sums.guest_bytes) if sums else _UNKNOWN,
        _level(sums),
        _over(node),
        f"{gibibytes(swap.size_bytes)}/{gibibytes(swap.demanded_bytes)}",
        gibibytes(swap.used_bytes),
        f"{_rate(swap.in_pages_per_second)}/{_rate(swap.out_pages_per_second)}",
    )


def _wide(node: NodeStatusReport) -> tuple[str, ...]:
    sums, pressure, agent = node.sums, node.pressure, node.agent
    stall = pressure.stall_full_percent if pressure else None
    return (
        str(sums.pods) if sums else _UNKNOWN,
        str(sums.virtual_machines) if sums else _UNKNOWN,
        _UNKNOWN if node.promised_percent is None else f"{node.promised_percent} %",
        cores(node.capacity.cpu_milli),
        cores(sums.requests.cpu_milli or 0) if sums else _UNKNOWN,
        _at_least(cores(sums.limits.cpu_milli or 0), sums.pods_without_cpu_limit) if sums else _UNKNOWN,
        gibibytes(node.swap.allowed_bytes),
        gibibytes(node.offloaded_bytes),
        _traffic(node.swap),
        node.swap.writer or _UNKNOWN,
        _UNKNOWN if stall is None else f"{stall:.1f} %",
        agent.version if agent else _UNKNOWN,
        _age(agent.age_seconds) if agent else _UNKNOWN,
    )


def _limits(sums: Sums | None) -> str:
    if sums is None:
        return _UNKNOWN
    return _at_least(gibibytes(sums.limits.memory_bytes or 0), sums.pods_without_memory_limit)


def _level(sums: Sums | None) -> str:
    if sums is None or not sums.requests.memory_bytes:
        return _UNKNOWN
    percent = (sums.limits.memory_bytes or 0) * 100 // sums.requests.memory_bytes
    return _at_least(f"{percent} %", sums.pods_without_memory_limit)


def _at_least(text: str, without: int) -> str:
    return f"{text}+" if without else text


def _over(node: NodeStatusReport) -> str:
    if node.overcommitted is None:
        return _UNKNOWN
    words = {cause.word for cause in node.causes}
    if len(words) == 2:
        return "both"
    return {"PodMakesNoRequest": "requests", "LimitsExceedCapacity": "limits"}[words.pop()] if words else "no"


def _relief(relief: ReliefRecord) -> str:
    words = {
        "Asking": "evicting",
        "Migrating": "migrating",
        "Ending": "ending",
        "CoolingDown": "cooling down after",
        "Waiting": "relief waits",
        "Refused": "all refused",
    }[relief.stage or "Waiting"]
    if relief.reason:
        words = "cancelling the migration of"
    return (
        f"{words} {relief.victim}" if relief.victim and relief.stage not in ("Waiting", "Refused") else words
    )


def _rate(pages_per_second: float | None) -> str:
    if pages_per_second is None:
        return _UNKNOWN
    return f"{pages_per_second / 1000:.1f}k" if pages_per_second >= 9999.5 else f"{pages_per_second:.0f}"


def _traffic(swap: SwapReport) -> str:
    """Swap traffic in and out in MiB/s."""
    rates = (swap.in_pages_per_second, swap.out_pages_per_second)
    size = swap.page_bytes or PAGE_BYTES
    return "/".join(_UNKNOWN if rate is None else f"{rate * size / (1 << 20):.1f}" for rate in rates)


def _age(seconds: float | None) -> str:
    """A duration with one unit."""
    if seconds is None:
        return _UNKNOWN
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
