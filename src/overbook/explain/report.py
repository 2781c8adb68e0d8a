"""The shape of ``overbook explain --output json``: field names are stable, documented in ``docs/cli.md``."""

from typing import Literal

import msgspec

WarningSeverity = Literal["Refused", "Danger", "Note"]


class ReportStruct(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A struct of the report: sizes are in bytes, CPU in milli-CPU; ``null`` means "none" or "not known"."""


class CpuAndMemory(ReportStruct, frozen=True):
    """A request, limit or capacity."""

    cpu_milli: int | None = None
    memory_bytes: int | None = None


class OvercommitLevel(ReportStruct, frozen=True):
    """Limits in percent of requests; without a level ``*_undefined`` says why (NoLimit, NoRequest)."""

    cpu_percent: int | None = None
    memory_percent: int | None = None
    cpu_undefined: str | None = None
    memory_undefined: str | None = None


class Swap(ReportStruct, frozen=True):
    """A container's ``memory.swap.max``, and why; ``wanted_bytes`` would be the limit with enough swap."""

    max_bytes: int
    reason: str
    sentence: str
    wanted_bytes: int


class Warned(ReportStruct, frozen=True):
    """A warning: ``Refused`` by the API server, a ``Danger``, or a ``Note``."""

    word: str
    severity: WarningSeverity
    sentence: str


class ContainerReport(ReportStruct, frozen=True):
    """The report of a container."""

    name: str
    role: Literal["Container", "Init", "Sidecar"]
    requests: CpuAndMemory
    limits: CpuAndMemory
    cpu_shares: int
    cpu_weight: int
    cpu_quota_micros: int | None
    cpu_period_micros: int
    memory_max_bytes: int | None
    oom_score_adj: int
    swap: Swap
    overcommit: OvercommitLevel
    cpu_share_of_pod_percent: float | None


class ContainerQuota(ReportStruct, frozen=True):
    """A container's CPU limit, and the CPU time per period that it allows where the quota is enforced."""

    name: str
    limit_milli: int
    quota_micros: int
    period_micros: int


class QuotaChange(ReportStruct, frozen=True):
    """The effect of the CPU quota on a pod; without the quota no cgroup of the pod has a ``cpu.max``."""

    enforced: bool
    pod_quota_micros: int | None
    containers: tuple[ContainerQuota, ...]
    sentence: str


class PodReport(ReportStruct, frozen=True):
    """The report of a pod, or of the pod that an object becomes."""

    name: str
    kind: str
    object: str
    where: str
    replicas: int | None
    qos_class: str
    qos_reason: str
    virtual_machine: bool
    critical: bool
    priority: int
    requests: CpuAndMemory
    limits: CpuAndMemory
    overcommit: OvercommitLevel
    guest_bytes: int | None
    overhead_bytes: int | None
    hugepages_bytes: int
    guest_from: Literal["Manifest", "Request"] | None
    cpu_shares: int
    cpu_weight: int
    cpu_quota_micros: int | None
    cpu_quota: QuotaChange
    memory_max_bytes: int | None
    cpu_share_of_node_percent: float
    swap_max_bytes: int
    eviction: str
    containers: tuple[ContainerReport, ...]
    warnings: tuple[Warned, ...]


class NodeReport(ReportStruct, frozen=True):
    """The node for which pods are explained."""

    memory_bytes: int
    swap_bytes: int
    cpu_milli: int | None
    percent: int
    memory_from: str
    swap_from: str
    percent_from: str
    allowance: str
    eligibility: str
    pooled_share: float
    cpu_quota: bool
    cpu_quota_from: str
    kubevirt: str
    kubernetes: str
    allocatable: CpuAndMemory | None
    huge_pages_bytes: int = 0


class Totals(ReportStruct, frozen=True):
    """The sums of all pods, compared with the node."""

    pods: int
    by_qos_class: dict[str, int]
    requests: CpuAndMemory
    limits: CpuAndMemory
    pods_without_memory_limit: int
    requested_memory_percent: int | None
    overcommit: OvercommitLevel
    guest_bytes: int
    promised_percent: int
    swap_max_bytes: int
    overcommitted: bool
    causes: tuple[str, ...]


class NamespaceReport(ReportStruct, frozen=True):
    """The sums of a namespace."""

    name: str
    pods: int
    overcommit: OvercommitLevel


class KillOrder(ReportStruct, frozen=True):
    """A container's place in the order in which the kernel kills, as far as ``oom_score_adj`` decides."""

    pod: str
    container: str
    oom_score_adj: int


class IdleReport(ReportStruct, frozen=True):
    """An object of which no pod runs or will run, so it is not counted, and what a pod would request."""

    kind: str
    object: str
    where: str
    state: str
    field: str
    replicas: int | None
    qos_class: str | None
    requests: CpuAndMemory


class Explanation(ReportStruct, frozen=True, omit_defaults=True):
    """The whole report; ``idle`` and ``problems`` are there only if there are any."""

    node: NodeReport
    totals: Totals
    namespaces: tuple[NamespaceReport, ...]
    pods: tuple[PodReport, ...]
    kill_order: tuple[KillOrder, ...]
    ignored: dict[str, int]
    warnings: tuple[Warned, ...]
    idle: tuple[IdleReport, ...] = ()
    problems: tuple[str, ...] = ()
