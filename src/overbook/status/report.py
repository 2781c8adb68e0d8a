"""The shape of ``overbook status --output json``: field names are stable; see ``docs/status.md``."""

from overbook.core.api.overcommit_node import PressureStatus, ReliefRecord
from overbook.core.overcommit.level import NodeCause
from overbook.core.overcommit.swap import ordinary_bytes
from overbook.explain.report import CpuAndMemory, OvercommitLevel, PodReport, ReportStruct
from overbook.status.findings import Gathered
from overbook.status.history import Happening, Place
from overbook.status.marks import Mark
from overbook.status.view import LeadingController, Unread


class ClusterSettings(ReportStruct, frozen=True):
    """The settings that apply to every node; ``percentage_from`` names the origin of the percentage."""

    percentage: int
    percentage_from: str
    mode: str
    paused: bool
    kubevirt_percentage: int | None
    controller: LeadingController | None


class Sums(ReportStruct, frozen=True):
    """The sums of some pods."""

    pods: int
    requests: CpuAndMemory
    limits: CpuAndMemory
    overcommit: OvercommitLevel
    pods_without_memory_limit: int
    pods_without_cpu_limit: int
    virtual_machines: int
    guest_bytes: int


class SwapReport(ReportStruct, frozen=True):
    """A node's swap; ``demanded_bytes`` is what the percentage needs, ``writer`` writes the limits."""

    size_bytes: int | None = None
    demanded_bytes: int | None = None
    used_bytes: int | None = None
    allowed_bytes: int | None = None
    in_pages_per_second: float | None = None
    out_pages_per_second: float | None = None
    writer: str = ""
    page_bytes: int | None = None


class AgentReport(ReportStruct, frozen=True):
    """A node's agent, from its last report."""

    version: str
    mode: str
    paused: bool
    observed_at: str | None
    age_seconds: float | None
    silent: bool


class NodeStatusReport(ReportStruct, frozen=True):
    """One node. ``sums`` is ``null`` if pods could not be read, ``agent`` if no agent has reported.

    ``agent_known`` is false if agents' reports could not be read.
    """

    name: str
    ready: bool | None
    ram_bytes: int | None
    available_bytes: int | None
    offloaded_bytes: int | None
    offloadable_bytes: int | None
    capacity: CpuAndMemory
    allocatable: CpuAndMemory
    sums: Sums | None
    promised_percent: int | None
    overcommitted: bool | None
    causes: tuple[NodeCause, ...]
    swap: SwapReport
    pressure: PressureStatus | None
    tainted: bool
    relief: ReliefRecord | None
    agent: AgentReport | None
    agent_known: bool
    huge_pages_bytes: int = 0

    @property
    def ordinary_bytes(self) -> int | None:
        """The RAM without huge pages, of which percentages are; ``None``: not known."""
        return None if self.ram_bytes is None else ordinary_bytes(self.ram_bytes, self.huge_pages_bytes)


class ClusterReport(ReportStruct, frozen=True):
    """The report of ``overbook status``."""

    settings: ClusterSettings
    totals: Sums | None
    nodes: tuple[NodeStatusReport, ...]
    findings: tuple[Gathered, ...]
    unread: tuple[Unread, ...]
    seconds_old: float = 0.0


class PodStatusReport(ReportStruct, frozen=True):
    """The report of ``overbook status pod``: the pod as in ``explain``, on its node, and its history.

    ``pod`` is ``null`` if the pod no longer exists, and only its history is known. ``ended`` is the phase of
    a pod that has ended, such as the source of a live migration: it holds nothing. Else it is empty.
    """

    name: str
    pod: PodReport | None
    node: NodeStatusReport | None
    place: Place | None
    history: tuple[Happening, ...]
    events: tuple[Happening, ...]
    findings: tuple[Gathered, ...]
    unread: tuple[Unread, ...]
    ended: str = ""


class NamespacePod(ReportStruct, frozen=True):
    """One pod of a namespace."""

    name: str
    node: str | None
    qos_class: str
    requests: CpuAndMemory
    limits: CpuAndMemory
    overcommit: OvercommitLevel
    guest_bytes: int | None


class NamespaceStatusReport(ReportStruct, frozen=True):
    """The report of ``overbook status namespace``; ``pods`` are worst first."""

    name: str
    sums: Sums
    marks: tuple[Mark, ...]
    pods: tuple[NamespacePod, ...]
    unread: tuple[Unread, ...]
