"""Which pods may swap on a node, and how much swap each container gets.

Eligibility and the three allowances are applied after the kubelet's own conditions in
:mod:`overbook.core.overcommit.swap`. ``proportional`` is the kubelet's LimitedSwap. ``whole`` gives each
container all that it can need beyond its request, scaled down for all where the node's swap is smaller than
the sum. ``pooled`` gives the same without scaling, each capped at a share of the node's swap: it assumes that
containers do not need all of it at the same time.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.resolved import ResolvedContainer, ResolvedPod
from overbook.core.kubevirt.memory import guest_bytes
from overbook.core.kubevirt.overhead import reported_overhead_bytes
from overbook.core.kubevirt.vm import is_virtual_machine_pod
from overbook.core.overcommit.facts import ContainerFacts, PodFacts, original_request_bytes
from overbook.core.overcommit.swap import (
    SWAP_ANNOTATION,
    SWAP_LABEL,
    Reason,
    SwapDecision,
    burstable_reason,
    proportional_bytes,
    whole_bytes,
)
from overbook.core.percentage import check_percent

Eligibility = Literal["BurstableVirtualMachines", "Burstable"]
Allowance = Literal["proportional", "whole", "pooled"]

VIRTUAL_MACHINE_CONTAINER: Final = "compute"


class SwapPolicy(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """How a node's swap is divided among containers.

    Attributes:
        eligibility: which Burstable pods may swap.
        allowance: how much swap each container gets.
        pooled_share: with ``pooled``, the share (0–1) of the node's swap that one container may use.
        percent: the cluster's ``memoryOvercommitPercentage``, by which guest sizes are inferred from
            requests.
    """

    eligibility: Eligibility = "BurstableVirtualMachines"
    allowance: Allowance = "proportional"
    pooled_share: float = 0.5
    percent: int = 100

    def check(self) -> None:
        """Refuse a policy that is not valid.

        Raises:
            InvalidInput: a share or percentage is out of range.
        """
        if not 0 < self.pooled_share <= 1:
            raise InvalidInput("pooledShare", self.pooled_share, "a number above 0 and up to 1")
        check_percent(self.percent)


def eligibility(
    pod: ResolvedPod,
    container: ResolvedContainer,
    node_memory_bytes: int,
    policy: SwapPolicy,
    namespace_labels: Mapping[str, str] | None = None,
) -> Reason:
    """Whether a container may swap, and if not, why.

    The kubelet's conditions come first: no setting takes RAM from a pod to which the kubelet gives no swap.
    The pod's annotation and the namespace's label follow, then the policy. With ``enabled`` on the namespace,
    a pod counts as if it were a VM's.
    """
    reason = burstable_reason(pod, container, node_memory_bytes)
    if reason != "Eligible":
        return reason
    if pod.pod.annotations.get(SWAP_ANNOTATION) == "disabled":
        return "DisabledOnPod"
    namespace = (namespace_labels or {}).get(SWAP_LABEL)
    if namespace == "disabled":
        return "DisabledOnNamespace"
    if policy.eligibility == "Burstable" or namespace == "enabled":
        return "Eligible"
    return "Eligible" if is_virtual_machine_pod(pod.pod) else "NotVirtualMachine"


def pod_facts(
    pod: ResolvedPod,
    node_memory_bytes: int,
    policy: SwapPolicy,
    namespace_labels: Mapping[str, str] | None = None,
) -> PodFacts:
    """The facts of a pod that the rules use.

    Raises:
        InvalidInput: the overhead that KubeVirt wrote on the pod is not valid, or the pod has no UID.
    """
    manifest = pod.pod
    uid, spec = manifest.metadata.uid, manifest.spec
    if not uid:
        raise InvalidInput(f"Pod {manifest.label}: metadata.uid", uid, "the pod's UID")
    virtual_machine = is_virtual_machine_pod(manifest)
    containers = tuple(
        _container_facts(
            pod,
            container,
            eligibility(pod, container, node_memory_bytes, policy, namespace_labels),
            policy.percent if virtual_machine and container.name == VIRTUAL_MACHINE_CONTAINER else None,
        )
        for container in pod.all_containers
    )
    return PodFacts(
        uid=uid,
        label=manifest.label,
        qos_class=pod.qos_class,
        priority=spec.priority or 0,
        critical=pod.critical,
        virtual_machine=virtual_machine,
        memory_request_bytes=pod.requests.memory_bytes or 0,
        original_request_bytes=original_request_bytes(manifest),
        containers=containers,
        grace_seconds=max(0, _or(spec.termination_grace_period_seconds, 30)),
    )


def allowances(
    containers: Sequence[ContainerFacts], node_memory_bytes: int, swap_bytes: int, policy: SwapPolicy
) -> tuple[SwapDecision, ...]:
    """``memory.swap.max`` of all containers of a node, in the order given.

    Args:
        containers: every container on the node.
        node_memory_bytes: MemTotal.
        swap_bytes: SwapTotal.
        policy: how swap is divided.
    """
    if swap_bytes <= 0 or node_memory_bytes <= 0:
        return tuple(SwapDecision(0, "NodeHasNoSwap" if c.swap == "Eligible" else c.swap) for c in containers)
    wishes = [_wish(container, node_memory_bytes, swap_bytes, policy) for container in containers]
    total = sum(wishes)
    if policy.allowance == "whole" and total > swap_bytes:
        given = [wish * swap_bytes // total for wish in wishes]
    elif policy.allowance == "pooled":
        given = [min(wish, int(swap_bytes * policy.pooled_share)) for wish in wishes]
    else:
        given = wishes
    return tuple(
        SwapDecision(bytes_, container.swap, wish)
        for container, wish, bytes_ in zip(containers, wishes, given, strict=True)
    )


def _wish(container: ContainerFacts, node_memory_bytes: int, swap_bytes: int, policy: SwapPolicy) -> int:
    if container.swap != "Eligible":
        return 0
    if policy.allowance == "proportional" or container.whole_bytes is None:
        return proportional_bytes(container.memory_request_bytes or 0, node_memory_bytes, swap_bytes)
    return container.whole_bytes


def _container_facts(
    pod: ResolvedPod, container: ResolvedContainer, swap: Reason, percent: int | None
) -> ContainerFacts:
    resources = container.resources
    request, limit = resources.requests.memory_bytes, resources.limits.memory_bytes
    whole: int | None = None
    if limit is not None:
        whole = max(0, limit - (request or 0))
    elif percent is not None and request is not None:
        overhead = reported_overhead_bytes(pod.pod) or 0
        # A request below the reported overhead was set by hand: all of it counts as the guest's.
        overhead = overhead if overhead <= request else 0
        whole = whole_bytes(guest_bytes(request, overhead, percent), overhead, request)
    return ContainerFacts(container.name, request, limit, swap, whole)


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
