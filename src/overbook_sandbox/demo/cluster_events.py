"""The events of the demo's story on a cluster, from the cluster's objects.

The events are the differences between two readings of the objects; nothing else is reported.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from overbook.core.api.overcommit_node import PRESSURE_CONDITION, TAINT_KEY, OvercommitNodeStatus
from overbook.core.pressure.holdings import holdings_bytes
from overbook.kube.api.objects import Node
from overbook_sandbox.demo.story import (
    PAID_POD,
    AnyEvent,
    DecisionEvent,
    Gone,
    SampleEvent,
    StepEvent,
    StoryPodSample,
)
from overbook_sandbox.kubevirt.documents import DOMAIN_ANNOTATION, MIGRATION_LABEL, KubeVirtDocument
from overbook_sandbox.node.kubernetes_messages import ContainerReading, NodeReading

_SHOWN_PHASES: Final = ("Running", "Succeeded", "Failed")
_STAGES: Final = {
    "Asking": "the controller evicts a pod",
    "Migrating": "KubeVirt answers the eviction with a live migration",
    "CoolingDown": "relief is done",
}
_SANDBOX_BYTES: Final = 8 << 20  # more than the memory of a pod's sandbox


class SeenPod(NamedTuple):
    """A pod at one moment.

    Attributes:
        guest: The VM's name, or the pod's own.
        name: The pod's name.
        node: The pod's node; empty: none yet.
        phase: The phase of its status.
        reason: The kubelet's reason of a failure.
        waits: The scheduler's message, if the pod is not scheduled.
        is_target: Whether the pod is the target of a live migration.
        is_ending: Whether the pod is being deleted.
    """

    guest: str
    name: str
    node: str = ""
    phase: str = "Pending"
    reason: str = ""
    waits: str = ""
    is_target: bool = False
    is_ending: bool = False

    @property
    def lives(self) -> bool:
        """Whether the pod runs or will run."""
        return self.phase in ("Pending", "Running")


class Seen(NamedTuple):
    """The state of the cluster that the story needs, at one moment.

    Attributes:
        tainted: Whether the node has Overbook's taint.
        condition: The status and message of Overbook's node condition; None: there is none.
        status: The status of the node's OvercommitNode.
        pods: The pods by uid.
        migrations: The phases of migrations by name.
    """

    tainted: bool = False
    condition: tuple[str, str] | None = None
    status: OvercommitNodeStatus = OvercommitNodeStatus()
    pods: Mapping[str, SeenPod] = {}
    migrations: Mapping[str, str] = {}


def seen_pod(pod: KubeVirtDocument) -> SeenPod:
    """A pod's state from its object."""
    waits = next(
        (
            each.get("message", "")
            for each in pod.status.get("conditions") or ()
            if each.get("type") == "PodScheduled" and each.get("status") == "False"
        ),
        "",
    )
    return SeenPod(
        guest=pod.annotations.get(DOMAIN_ANNOTATION, pod.metadata.name),
        name=pod.metadata.name,
        node=pod.spec.get("nodeName", ""),
        phase=pod.phase or "Pending",
        reason=pod.status.get("reason", ""),
        waits=waits,
        is_target=MIGRATION_LABEL in pod.labels,
        is_ending=pod.metadata.deletion_timestamp is not None,
    )


def node_signs(node: Node) -> tuple[bool, tuple[str, str] | None]:
    """Whether a node has Overbook's taint, and Overbook's condition of it."""
    tainted = any(taint.key == TAINT_KEY for taint in node.spec.taints or ())
    for each in node.status.conditions or ():
        if each.type == PRESSURE_CONDITION:
            return tainted, (each.status, each.message or "")
    return tainted, None


def events(before: Seen, now: Seen, at: float, node: str) -> Iterator[AnyEvent]:
    """The events between two readings of the cluster.

    Args:
        before: The earlier state.
        now: The later state.
        at: The time of the later state in the story.
        node: The node under pressure.
    """
    known = {each.id for each in before.status.decisions}
    for each in reversed(now.status.decisions):
        if each.id not in known:
            victim = _guest_label(each.victim, now) or None
            yield DecisionEvent(at=at, action=each.action, sentence=each.sentence, victim=victim)
    yield from (StepEvent(at=at, sentence=sentence) for sentence in _signs(before, now, node))
    for uid, pod in now.pods.items():
        earlier = before.pods.get(uid, SeenPod(pod.guest, pod.name))
        yield from (StepEvent(at=at, sentence=sentence) for sentence in _progress(earlier, pod))
    for uid, pod in before.pods.items():
        later = now.pods.get(uid)
        if pod.node == node and pod.lives and (later is None or not later.lives):
            yield Gone(at=at, pod=pod.guest, how=how(pod, later, now))


def _signs(before: Seen, now: Seen, node: str) -> Iterator[str]:
    """The changes of taint, condition, relief and migrations."""
    if now.tainted and not before.tainted:
        yield f"{node} is tainted {TAINT_KEY}: the scheduler places no more pods there"
    if before.tainted and not now.tainted:
        yield f"{node} is no longer tainted: the scheduler may use it again"
    had, has = before.condition or ("", ""), now.condition or ("", "")
    if had[0] != has[0] and "True" in (had[0], has[0]):
        yield f"condition {PRESSURE_CONDITION} of {node} is {has[0]}" + (f": {has[1]}" if has[1] else "")
    relief, earlier = now.status.relief, before.status.relief
    if relief is not None and relief.stage and relief.stage != (earlier.stage if earlier else None):
        words = _STAGES.get(relief.stage, f"relief is {relief.stage}")
        yield words + (f": {relief.message}" if relief.message else "")
    for name, phase in now.migrations.items():
        if phase in _SHOWN_PHASES and phase != before.migrations.get(name):
            yield f"live migration {name}: {phase}"


def _progress(before: SeenPod, now: SeenPod) -> Iterator[str]:
    if now.waits and now.waits != before.waits and not now.node:
        yield f"the scheduler cannot place {now.guest}: {now.waits}"
    if now.node and not before.node:
        what = f"the target pod of {now.guest}" if now.is_target else now.guest
        yield f"the scheduler places {what} on {now.node}"
    if now.phase == "Running" and before.phase != "Running":
        yield f"{now.guest}{' has a running target pod' if now.is_target else ' runs'} on {now.node}"


def left(found: NodeReading, pods: Mapping[str, SeenPod]) -> Iterator[SeenPod]:
    """The pods that are being deleted and have freed their memory, before the API shows their end.

    Args:
        found: A sample of the node.
        pods: The node's pods by uid.
    """
    for uid, pod in pods.items():
        if pod.is_ending and held_bytes(found.pods.get(uid, {})) < _SANDBOX_BYTES:
            yield pod


def held_bytes(containers: Mapping[str, ContainerReading]) -> int:
    """The holdings of a pod's containers."""
    return sum(
        holdings_bytes(each.memory_current_bytes, each.memory_swap_current_bytes, each.swap_cached_bytes)
        for each in containers.values()
    )


def how(pod: SeenPod, later: SeenPod | None, now: Seen) -> str:
    """How a pod left its node.

    Args:
        pod: The pod's last state on its node.
        later: The pod's present state; None if it no longer exists.
        now: The present state of the cluster.
    """
    if later is not None and later.reason:
        return f"ended by the kubelet ({later.reason})"
    for other in now.pods.values():
        if other.guest == pod.guest and other.is_target and other.lives and other.node != pod.node:
            return f"migrated to {other.node}"
    if later is not None and later.phase == "Failed":
        return "failed"
    return "ended"


def _guest_label(victim: str, now: Seen) -> str:
    """The label `namespace/name` of a pod, with the VM's name in place of the pod's."""
    namespace, _, name = victim.rpartition("/")
    guest = next((pod.guest for pod in now.pods.values() if pod.name == name), name)
    return f"{namespace}/{guest}" if namespace else guest


class Sampler:
    """A converter of the node's samples into samples of the story."""

    def __init__(self) -> None:
        self._last: NodeReading | None = None

    def sample(self, found: NodeReading, at: float, pods: Mapping[str, SeenPod]) -> SampleEvent:
        """Convert a sample.

        Args:
            found: The node's sample.
            at: The sample's time in the story.
            pods: The pods by uid; others are left out.
        """
        last, self._last = self._last, found
        units = _units(found, pods)
        before = _units(last, pods) if last else None
        elapsed = found.at - last.at if last else 0.0
        rates: dict[str, float | None] = {}
        if last is not None and elapsed > 0:
            rates = {
                "swap_in_pages_per_second": (found.swapped_in_pages - last.swapped_in_pages) / elapsed,
                "swap_out_pages_per_second": (found.swapped_out_pages - last.swapped_out_pages) / elapsed,
                "pace": (units[0] - before[0]) / elapsed if units and before else None,
            }
            if found.full_stall_micros is not None and last.full_stall_micros is not None:
                stalled = (found.full_stall_micros - last.full_stall_micros) / elapsed / 10_000
                rates["stall_full_percent"] = min(100.0, stalled)
        return SampleEvent(
            at=at,
            memory_available_bytes=found.mem_available_bytes,
            swap_used_bytes=found.swap_total_bytes - found.swap_free_bytes,
            pods={pods[uid].guest: _pod(containers) for uid, containers in found.pods.items() if uid in pods},
            gap_seconds=max(0.0, found.at - units[1]) if units else None,
            **rates,
        )


def _units(found: NodeReading, pods: Mapping[str, SeenPod]) -> tuple[int, float] | None:
    """The number of units of the paid pod's work, and the time of the last one."""
    for uid, containers in found.pods.items():
        if uid in pods and pods[uid].guest == PAID_POD:
            for container in containers.values():
                if container.work is not None:
                    return container.work.units, container.work.last_at
    return None


def _pod(containers: Mapping[str, ContainerReading]) -> StoryPodSample:
    """The sum of all containers, without the limit and swap of the pod's sandbox, which has no limit."""
    sandbox_swap_bytes = min(
        (
            each.memory_swap_current_bytes
            for each in containers.values()
            if each.memory_swap_max_bytes is None
        ),
        default=0,
    )
    limits = [each.memory_swap_max_bytes for each in containers.values()]
    known = [limit for limit in limits if limit is not None]
    return StoryPodSample(
        memory_bytes=sum(each.memory_current_bytes for each in containers.values()),
        swap_bytes=sum(each.memory_swap_current_bytes for each in containers.values()) - sandbox_swap_bytes,
        swap_cached_bytes=sum(each.swap_cached_bytes for each in containers.values()),
        swap_max_bytes=sum(known) if known else None,
    )
