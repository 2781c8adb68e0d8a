"""What a cluster's objects say of one node's trouble, as events of the demo's story.

Two looks at the objects make the events between them; nothing is told that no object says.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from overbook.core.api.overcommit_node import PRESSURE_CONDITION, TAINT_KEY, OvercommitNodeStatus
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
    "Asking": "the controller evicts a guest",
    "Migrating": "KubeVirt takes the eviction for a live migration",
    "CoolingDown": "relief is done",
}
_SANDBOX_BYTES: Final = 8 << 20  # a pod's sandbox alone holds less


class SeenPod(NamedTuple):
    """A pod at one moment.

    Attributes:
        guest: The virtual machine's name, or the pod's own.
        name: The pod's.
        node: Where it was put; empty: nowhere yet.
        phase: Of its status.
        reason: Why it failed, in the kubelet's word.
        waits: Why the scheduler has not put it anywhere, in its words.
        is_target: Whether a live migration made it.
        is_ending: Whether it was deleted and is not gone yet.
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
        """Whether its containers run or are yet to."""
        return self.phase in ("Pending", "Running")


class Seen(NamedTuple):
    """The cluster at one moment, as far as the story needs it.

    Attributes:
        tainted: Whether the node has Overbook's taint.
        condition: Status and message of the node's condition of Overbook; None: it has none.
        status: What agent and controller say of the node.
        pods: By uid.
        migrations: Phases, by name.
    """

    tainted: bool = False
    condition: tuple[str, str] | None = None
    status: OvercommitNodeStatus = OvercommitNodeStatus()
    pods: Mapping[str, SeenPod] = {}
    migrations: Mapping[str, str] = {}


def seen_pod(pod: KubeVirtDocument) -> SeenPod:
    """A pod as the API has it."""
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
    """Whether a node has Overbook's taint, and its condition of Overbook."""
    tainted = any(taint.key == TAINT_KEY for taint in node.spec.taints or ())
    for each in node.status.conditions or ():
        if each.type == PRESSURE_CONDITION:
            return tainted, (each.status, each.message or "")
    return tainted, None


def events(before: Seen, now: Seen, at: float, node: str) -> Iterator[AnyEvent]:
    """What happened between two looks.

    Args:
        before: The earlier look.
        now: The later one.
        at: Its time in the story.
        node: The node with the trouble.
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
    """What became of taint, condition, relief and migrations."""
    if now.tainted and not before.tainted:
        yield f"{node} is tainted {TAINT_KEY}: the scheduler puts no more pods there"
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
        yield f"the scheduler holds {now.guest} back: {now.waits}"
    if now.node and not before.node:
        what = f"the pod that {now.guest} is to move into" if now.is_target else now.guest
        yield f"the scheduler puts {what} on {now.node}"
    if now.phase == "Running" and before.phase != "Running":
        yield f"{now.guest}{' has a place to move to' if now.is_target else ' runs'} on {now.node}"


def left(found: NodeReading, pods: Mapping[str, SeenPod]) -> Iterator[SeenPod]:
    """The pods that were told to end and whose memory the node has back; the API hears of it later.

    Args:
        found: What the node's kernel counts.
        pods: Those of the node, by uid.
    """
    for uid, pod in pods.items():
        containers = found.pods.get(uid, {}).values()
        held = sum(each.memory_current_bytes + each.memory_swap_current_bytes for each in containers)
        if pod.is_ending and held < _SANDBOX_BYTES:
            yield pod


def how(pod: SeenPod, later: SeenPod | None, now: Seen) -> str:
    """How a pod went.

    Args:
        pod: As it was last seen on its node.
        later: As it is now; None where it is gone.
        now: The cluster.
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
    """`namespace/name` with the virtual machine's name in place of its pod's."""
    namespace, _, name = victim.rpartition("/")
    guest = next((pod.guest for pod in now.pods.values() if pod.name == name), name)
    return f"{namespace}/{guest}" if namespace else guest


class Sampler:
    """Makes samples of the story from those of the node."""

    def __init__(self) -> None:
        self._last: NodeReading | None = None

    def sample(self, found: NodeReading, at: float, pods: Mapping[str, SeenPod]) -> SampleEvent:
        """One sample.

        Args:
            found: The node's.
            at: Its time in the story.
            pods: By uid; others are left out.
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
    """The paced work of the paid pod."""
    for uid, containers in found.pods.items():
        if uid in pods and pods[uid].guest == PAID_POD:
            for container in containers.values():
                if container.work is not None:
                    return container.work.units, container.work.last_at
    return None


def _pod(containers: Mapping[str, ContainerReading]) -> StoryPodSample:
    """All containers together, but for the limit and the swap of the pod's sandbox: nobody limits that."""
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
        swap_max_bytes=sum(known) if known else None,
    )
