"""The structure of ``overbook node reserve --output json``, and its computation."""

from typing import Any, Final

import msgspec

from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.kubernetes.reserve import MIB, Allocatable, allocatable, proposed_reserve, qos_reserve
from overbook.core.kubernetes.resources import Amounts
from overbook.core.overcommit.swap import ordinary_bytes
from overbook.explain.report import ReportStruct

PERCENTS: Final = (100, 50, 0)
POOL_LABEL: Final = "pools.operator.machineconfiguration.openshift.io/"


class Asked(ReportStruct, frozen=True):
    """The sum of the pods' requests by class."""

    guaranteed_bytes: int
    burstable_bytes: int
    source: str


class Reserved(ReportStruct, frozen=True):
    """A reservation, with the memory that is reported to the scheduler and that all pods may use."""

    reserved_cpu_milli: int
    reserved_memory_bytes: int
    reported_bytes: int
    enforced_bytes: int


class Kept(ReportStruct, frozen=True):
    """The ``memory.max`` of the lower classes at one percentage."""

    percent: int
    burstable_max_bytes: int
    best_effort_max_bytes: int


class ReserveReport(ReportStruct, frozen=True):
    """The whole report; ``now`` is ``null`` if no kubelet's configuration is known."""

    name: str
    memory_bytes: int
    huge_pages_bytes: int
    cpu_milli: int
    now: Reserved | None
    proposed: Reserved
    verdict: str
    asked: Asked
    qos_reserved: tuple[Kept, ...]
    fragment: dict[str, Any]


def reserve_report(
    capacity: Amounts,
    name: str,
    configuration: KubeletConfiguration | None,
    asked: Asked,
    pool: str,
    huge_pages_bytes: int = 0,
) -> ReserveReport:
    """Propose a reservation.

    The proposed sum is split: ``kubeReserved`` stays as it is, and ``systemReserved`` gets the rest. Memory
    is rounded up to MiB.

    Args:
        capacity: the node's capacity.
        name: the node's name, as shown.
        configuration: the kubelet's configuration; ``None``: not known.
        asked: the pods' requests.
        pool: a pool of OpenShift's nodes, for a KubeletConfig; empty: the kubelet's own configuration.
        huge_pages_bytes: memory that is set aside as huge pages; the proposal is for the other memory.

    Raises:
        InvalidInput: a quantity in the configuration, or the size, is invalid.
    """
    memory = capacity.memory_bytes or 0
    present_configuration = configuration if configuration is not None else KubeletConfiguration()
    eviction = present_configuration.eviction_bytes(memory)
    kube, system = present_configuration.reserved
    whole = proposed_reserve(Amounts.of(capacity.cpu_milli or 0, ordinary_bytes(memory, huge_pages_bytes)))
    wanted = Amounts.of(
        max(0, (whole.cpu_milli or 0) - (kube.cpu_milli or 0)),
        -(-max(0, (whole.memory_bytes or 0) - (kube.memory_bytes or 0)) // MIB) * MIB,
    )
    left, present = (
        allocatable(
            capacity,
            kube_reserved=kube,
            system_reserved=reserved,
            hard_eviction_bytes=eviction,
            huge_pages_bytes=huge_pages_bytes,
        )
        for reserved in (wanted, system)
    )
    now = None if configuration is None else _reserved(kube + system, present)
    if now is not None and not present_configuration.enforces_allocatable:
        now = msgspec.structs.replace(now, enforced_bytes=memory)
    proposed = _reserved(kube + wanted, left)
    enforced = left.enforced.memory_bytes or 0
    kept = [(n, qos_reserve(enforced, asked.guaranteed_bytes, asked.burstable_bytes, n)) for n in PERCENTS]
    return ReserveReport(
        name=name,
        memory_bytes=memory,
        huge_pages_bytes=huge_pages_bytes,
        cpu_milli=capacity.cpu_milli or 0,
        now=now,
        proposed=proposed,
        verdict=_verdict(now, proposed),
        asked=asked,
        qos_reserved=tuple(Kept(n, each.burstable_max_bytes, each.best_effort_max_bytes) for n, each in kept),
        fragment=_fragment(wanted, pool),
    )


def _reserved(sum_: Amounts, left: Allocatable) -> Reserved:
    return Reserved(
        sum_.cpu_milli or 0,
        sum_.memory_bytes or 0,
        left.reported.memory_bytes or 0,
        left.enforced.memory_bytes or 0,
    )


def _verdict(now: Reserved | None, proposed: Reserved) -> str:
    if now is None:
        return "the present reservation is not known: no kubelet's configuration was found"
    short = [
        name
        for name, has, wants in (
            ("memory", now.reserved_memory_bytes, proposed.reserved_memory_bytes),
            ("CPU", now.reserved_cpu_milli, proposed.reserved_cpu_milli),
        )
        if has < wants
    ]
    if not short:
        return "the present reservation is enough; nothing needs to change"
    return f"too little {' and '.join(short)} is reserved now: the system's daemons compete with every pod"


def _fragment(system_reserved: Amounts, pool: str) -> dict[str, Any]:
    fields = {
        "systemReserved": {
            "cpu": f"{system_reserved.cpu_milli or 0}m",
            "memory": f"{(system_reserved.memory_bytes or 0) // MIB}Mi",
        }
    }
    if not pool:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            **fields,
        }
    return {
        "apiVersion": "machineconfiguration.openshift.io/v1",
        "kind": "KubeletConfig",
        "metadata": {"name": f"{pool}-system-reserved"},
        "spec": {
            "machineConfigPoolSelector": {"matchLabels": {f"{POOL_LABEL}{pool}": ""}},
            "kubeletConfig": fields,
        },
    }
