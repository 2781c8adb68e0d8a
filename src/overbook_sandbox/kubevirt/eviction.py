"""KubeVirt's answer to an eviction (`pod-eviction-admitter.go` of KubeVirt 1.5 to main of 2026-08)."""

from typing import Final, NamedTuple

from overbook_sandbox.kubevirt.documents import KubeVirtDocument

TRIGGERED: Final = "Eviction triggered evacuation of VMI"
"""The text from which a client knows that a live migration will begin."""


class ReviewAnswer(NamedTuple):
    """The webhook's answer.

    Attributes:
        denial: The reason of a denial, sent with status 429; None: the eviction is allowed.
        mark_node: The node to write into `status.evacuationNodeName` before the answer; None: nothing.
    """

    denial: str | None = None
    mark_node: str | None = None


ALLOWED: Final = ReviewAnswer()


def about_launcher(
    pod: KubeVirtDocument, instance: KubeVirtDocument, cluster_strategy: str | None
) -> ReviewAnswer:
    """The answer for a launcher pod that is not completed.

    Args:
        pod: The pod.
        instance: The pod's virtual machine.
        cluster_strategy: The `evictionStrategy` of the KubeVirt object, for VMs without their own.
    """
    name, namespace = instance.metadata.name, instance.namespace
    migratable = instance.holds("LiveMigratable")
    match instance.spec.get("evictionStrategy") or cluster_strategy:
        case "LiveMigrate" if not migratable:
            return ReviewAnswer(
                f"VMI {name} is configured with an eviction strategy but is not live-migratable"
            )
        case "LiveMigrate" | "External":
            pass
        case "LiveMigrateIfPossible" if migratable:
            pass
        case _:
            return ALLOWED
    triggered = f'{TRIGGERED} "{namespace}/{name}"'
    if instance.status.get("evacuationNodeName"):
        return ReviewAnswer(f"Evacuation in progress: {triggered}")
    node = pod.spec.get("nodeName")
    if instance.status.get("nodeName") != node:
        return ReviewAnswer("Eviction request for target Pod")
    return ReviewAnswer(triggered, mark_node=node)


def about_hotplug(pod: KubeVirtDocument, instance: KubeVirtDocument | None) -> ReviewAnswer:
    """The answer for a pod with a hotplugged disk of a VM.

    Args:
        pod: The pod.
        instance: The VM of its launcher, if there is one.
    """
    if instance is None:
        return ALLOWED
    return ReviewAnswer(
        f"cannot evict hotplug pod: {pod.metadata.name} associated with running vmi: "
        f"{instance.metadata.name} in namespace {pod.namespace}"
    )
