"""Warnings about VMs: why the percentage does not apply, or must not, and what KubeVirt refuses."""

from collections.abc import Iterator

from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.resources import container_resources
from overbook.core.kubevirt.memory import hugepages_bytes, is_written_by_hand
from overbook.core.kubevirt.obstacles import overcommit_findings
from overbook.core.kubevirt.overhead import reported_overhead_bytes
from overbook.core.kubevirt.vm import COMPUTE_CONTAINER, VirtualMachineInstance, owning_instance
from overbook.core.text import shown
from overbook.explain.inventory import Found
from overbook.explain.node import ExplainedNode
from overbook.explain.report import Warned, WarningSeverity


def vm_warnings(found: Found, node: ExplainedNode) -> Iterator[Warned]:
    """The warnings about the VM in a pod; none for other pods.

    Args:
        found: the pod and the object that it is from.
        node: the node.
    """
    if found.vmi is not None:
        for finding in overcommit_findings(found.vmi, running=node.running):
            severity: WarningSeverity = "Danger" if finding.severity == "MustNotApply" else "Note"
            if finding.word == "NoGuestMemory" and (found.missing or found.refusal):
                continue
            if finding.severity == "MustNotApply" and node.policy.percent <= 100:
                continue
            yield Warned(finding.word, severity, finding.sentence)
        yield from _limit_below_guest(found.vmi)
    elif _written_by_hand(found.pod):
        yield Warned(
            "GuestUncertain",
            "Note",
            "the VM's memory request was written by hand, so the guest's size is a guess: it may see more "
            "than is requested; add the VirtualMachineInstance to the input",
        )
    if found.refusal:
        yield Warned("VmRefused", "Refused", f"KubeVirt makes no pod of it: {found.refusal}")
    if found.missing:
        yield Warned(
            "InstancetypeNotRead",
            "Danger",
            f"it refers to the {found.missing}, which is not in the input: without it size and devices shown "
            "are not the VM's; add it to the input, or explain the VirtualMachineInstance instead",
        )


def _limit_below_guest(vmi: VirtualMachineInstance) -> Iterator[Warned]:
    """A danger if the guest sees more memory than its pod may use."""
    _, limits = vmi.requests_and_limits()
    guest, limit = vmi.guest_bytes or 0, limits.memory_bytes or 0
    if 0 < limit < guest:
        yield Warned(
            "LimitBelowGuest",
            "Danger",
            f"resources.limits.memory {shown(limit)} is below the guest's {shown(guest)}: the VM is killed "
            "when it touches more than the limit; without vmRolloutStrategy LiveUpdate KubeVirt refuses it",
        )


def _written_by_hand(pod: Pod) -> bool:
    """Whether a launcher pod shows that its memory request was not computed from the guest's size."""
    overhead = reported_overhead_bytes(pod) if owning_instance(pod) is not None else None
    for container in pod.containers:
        if container.name == COMPUTE_CONTAINER and overhead is not None and not hugepages_bytes(pod):
            request = container_resources(container).requests.memory_bytes or 0
            return request > overhead and is_written_by_hand(request, overhead)
    return False
