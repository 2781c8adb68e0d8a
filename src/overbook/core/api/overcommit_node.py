"""The custom resource ``OvercommitNode``: one object for each node, with the node's name.

The agent writes the status except ``relief``, which the controller writes. Both use server-side apply, so
neither can drop what the other wrote. Times are RFC 3339 in UTC with microseconds. Every list is bounded: the
``MOST_…`` constants become ``maxItems`` of the schema.

Docstrings here are the descriptions that ``kubectl explain`` shows, so they name no Python object.
"""

from typing import Final, Literal

import msgspec

from overbook.core.api.group import API_VERSION
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta

TAINT_KEY: Final = "overbook.dev/memory-pressure"
TAINT_EFFECT: Final = "NoSchedule"
PRESSURE_CONDITION: Final = "OvercommitPressure"
AGENT_MANAGER: Final = "overbook-agent"
CONTROLLER_MANAGER: Final = "overbook-controller"
"""Field managers of server-side apply."""

MOST_CANDIDATES: Final = 20
MOST_DECISIONS: Final = 10
MOST_REFUSALS: Final = 20
MOST_OUTCOMES: Final = 5
MOST_PROBLEMS: Final = 20

PressureState = Literal["None", "Pressure", "Critical"]
"""``PressureStatus.state`` describes the values."""

Stage = Literal["Asking", "Migrating", "Ending", "CoolingDown", "Waiting", "Refused"]
"""``ReliefRecord.stage`` describes the values."""

How = Literal["Migrated", "Restarted", "Evicted", "Deleted"]
"""``Migrated`` means a live migration; a VM that is evicted without one is ``Restarted``."""

Outcome = Literal["Migrated", "Restarted", "Evicted", "Deleted", "Gone", "GivenUp", "Failed"]
"""``ReliefOutcome.outcome`` describes the values."""


class MemoryStatus(KubeStruct, frozen=True):
    """The node's RAM.

    Attributes:
        total_bytes: MemTotal of the node, in bytes.
        available_bytes: MemAvailable of the node, in bytes; absent until it has been read.
        promised_bytes: memory promised to the node's pods, in bytes: the guest size of each VM, and the
            memory limit, else the request, of each other pod. Absent until the pods are known.
        offloaded_bytes: RAM that offload has bought, in bytes: what it swapped out ahead of need and has not
            come back.
        offloadable_bytes: memory that offload would swap out now, in bytes. Absent where it does so, and
            where it is off.
        hugetlb_bytes: huge pages that were set aside, in bytes. Percentages are of the rest.
    """

    total_bytes: int = 0
    available_bytes: int | None = None
    promised_bytes: int | None = None
    offloaded_bytes: int = 0
    offloadable_bytes: int | None = None
    hugetlb_bytes: int = 0


class SwapStatus(KubeStruct, frozen=True):
    """The node's swap.

    Attributes:
        total_bytes: SwapTotal of the node, in bytes.
        used_bytes: swap in use, in bytes.
        allowed_bytes: sum of the swap allowances of all containers, in bytes.
        demanded_bytes: swap that the percentage demands, RAM × (percentage/100 − 1), in bytes.
        in_pages_per_second: pages swapped in per second, averaged over the ruleset's window; absent until
            there are enough samples.
        out_pages_per_second: pages swapped out per second, averaged likewise.
        writer: what writes the containers' swap limits: ``reconcile`` (the agent itself), ``nri``, ``hook``
            or ``kubelet``; empty until it is chosen.
        writer_sentence: why this writer was chosen.
        differing: number of containers whose swap limit is wrong and is not written by the agent.
        page_bytes: size of a page on the node, in bytes.
    """

    total_bytes: int = 0
    used_bytes: int = 0
    allowed_bytes: int = 0
    demanded_bytes: int | None = None
    in_pages_per_second: float | None = None
    out_pages_per_second: float | None = None
    writer: str = ""
    writer_sentence: str = ""
    differing: int = 0
    page_bytes: int = 4096


class PressureStatus(KubeStruct, frozen=True):
    """Memory pressure of the node.

    Attributes:
        state: ``None``: no rule fires. ``Pressure``: a rule fires. ``Critical``: a rule has fired for so long
            that a pod has to leave the node.
        since: when the state began.
        rule: the rule that fires; empty where no rule does.
        sentence: the measurements by which the rule fires.
        stall_full_percent: share of time in which all tasks waited for memory (PSI ``full``), over the last
            seconds, in percent.
        domain: the cgroup above pods whose own limit is short of memory, such as ``kubepods.slice``; empty
            where the node is.
    """

    state: PressureState = "None"
    since: str | None = None
    rule: str = ""
    sentence: str = ""
    stall_full_percent: float | None = None
    domain: str = ""


class ReliefCandidate(KubeStruct, frozen=True):
    """A pod that may be evicted, as the agent ranked it.

    Attributes:
        uid: the pod's UID; a pod with the same name and another UID is another pod.
        namespace: the pod's namespace.
        name: the pod's name.
        virtual_machine: whether the pod is owned by a KubeVirt VirtualMachineInstance.
        priority: the pod's priority.
        usage_bytes: memory that the pod holds in RAM and in swap, in bytes.
        swap_bytes: swap that the pod uses, in bytes; a live migration has to read all of it back.
        growth_bytes_per_second: how fast the pod's memory grows, in bytes per second; stands for how fast a
            VM dirties memory.
        over_request_bytes: memory that the pod holds beyond its request, in bytes.
        over_promise_bytes: memory that the pod holds beyond its covered memory (request and allowance
            together), in bytes.
        beyond_bytes: memory without page cache that the pod holds beyond its covered memory and what the
            kernel adds to it, in bytes; 0 where the pod keeps within.
        blame: the pod's share of the node's growth plus its share of the refaults, 0 to 2.
        sentence: the pod's numbers in a sentence.
        excluded: why the pod must not be evicted; empty where it may be.
    """

    uid: str
    namespace: str
    name: str
    virtual_machine: bool = False
    priority: int = 0
    usage_bytes: int = 0
    swap_bytes: int = 0
    growth_bytes_per_second: int = 0
    over_request_bytes: int = 0
    over_promise_bytes: int = 0
    beyond_bytes: int = 0
    blame: float = 0.0
    sentence: str = ""
    excluded: str = ""

    @property
    def label(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"


class ReliefRequest(KubeStruct, frozen=True):
    """The agent's request that one pod leaves the node. It stays while the pressure lasts.

    Attributes:
        id: identifies the request; each decision to relieve the node has an id of its own.
        decided_at: when the agent decided.
        rule: the rule that fired.
        sentence: the whole decision in a sentence.
        rank: how the agent ordered the candidates: ``culprit`` or ``original`` (as wasp-agent did). With
            ``culprit`` the controller may change the order among candidates that are nearly equal.
        candidates: the pods that may be evicted, the first one first; those that must not be come last.
    """

    id: str
    decided_at: str
    rule: str = ""
    sentence: str = ""
    rank: str = "culprit"
    candidates: tuple[ReliefCandidate, ...] = ()


class DecisionRecord(KubeStruct, frozen=True):
    """A recent decision of the agent.

    Attributes:
        id: identifies the decision.
        at: when the agent decided.
        action: what was decided: ``reclaim``, ``relieve`` or ``wait``.
        sentence: the decision in a sentence.
        victim: the pod that was to leave, as ``namespace/name``; empty where none was.
    """

    id: str
    at: str
    action: str
    sentence: str
    victim: str = ""


class Problem(KubeStruct, frozen=True):
    """A problem of the node.

    Attributes:
        word: the kind of problem in one word, such as ``SwapLimitsDiffer``.
        sentence: the problem in a sentence.
        fix: the command or setting that removes the cause; empty where none is known.
    """

    word: str
    sentence: str
    fix: str = msgspec.field(name="mend", default="")


class Condition(KubeStruct, frozen=True):
    """A condition in Kubernetes' form.

    Attributes:
        type: always ``OvercommitPressure``.
        status: ``True`` while a rule fires.
        last_transition_time: when the status last changed.
        reason: the state of the pressure in one word.
        message: the measurements by which a rule fires, in a sentence.
    """

    type: str
    status: Literal["True", "False", "Unknown"]
    last_transition_time: str
    reason: str
    message: str = ""


class Refusal(KubeStruct, frozen=True):
    """A candidate that refused: it could not be evicted.

    Attributes:
        uid: the pod's UID.
        label: the pod, as ``namespace/name``.
        reason: why it could not be evicted, in one word.
        message: why it could not be evicted, in a sentence.
        at: when it refused.
    """

    uid: str
    label: str
    reason: str
    message: str
    at: str


class ReliefOutcome(KubeStruct, frozen=True):
    """A relief that has ended.

    Attributes:
        request_id: id of the agent's request that it answered.
        victim: the pod, as ``namespace/name``.
        outcome: ``Migrated``, ``Restarted``, ``Evicted`` or ``Deleted``: how the pod left the node. ``Gone``:
            the pod ended before anything was done. ``GivenUp``: it took too long. ``Failed``: the pod is
            still on the node.
        message: the outcome in a sentence.
        started_at: when the relief began.
        finished_at: when the relief ended.
    """

    request_id: str
    victim: str
    outcome: Outcome
    message: str
    started_at: str
    finished_at: str


class ReliefRecord(KubeStruct, frozen=True):
    """What the controller is about to do for the node, written before it acts.

    Attributes:
        request_id: id of the agent's request that this answers.
        stage: ``Asking``: the eviction is sent next. ``Migrating``: a live migration is under way.
            ``Ending``: the pod was evicted or deleted and is not gone yet. ``CoolingDown``: the pod has left,
            and its effect is given time to show. ``Waiting``: a budget is used up, the API server said when
            to try again, or nothing may begin now. ``Refused``: every candidate was refused. Absent: no
            relief is under way.
        victim_uid: UID of the pod that leaves; empty where none does.
        victim: the pod that leaves, as ``namespace/name``.
        how: how the pod leaves. ``Migrated``: live-migrated. ``Restarted``: a VM is shut down and started
            elsewhere.
        migration: name of the VirtualMachineInstanceMigration that moves the VM.
        joined: whether others requested the eviction: the relief waits for it and never cancels it.
        reason: why the live migration is given up, in one word: KubeVirt's evacuation is being cancelled;
            empty while it is not.
        started_at: when the relief began.
        stage_since: when the stage began.
        until: when the stage ends, or the next attempt is made; absent where no time is set.
        expected_seconds: how long a live migration was expected to take when it began, in seconds.
        message: the stage in a sentence.
        refusals: candidates that refused during this request.
        outcomes: reliefs of this node that have ended, newest first.
    """

    request_id: str = ""
    stage: Stage | None = None
    victim_uid: str = ""
    victim: str = ""
    how: How | None = None
    migration: str = ""
    joined: bool = False
    reason: str = ""
    started_at: str | None = None
    stage_since: str | None = None
    until: str | None = None
    expected_seconds: int = 0
    message: str = ""
    refusals: tuple[Refusal, ...] = ()
    outcomes: tuple[ReliefOutcome, ...] = ()


class OvercommitNodeStatus(KubeStruct, frozen=True):
    """What the agent reports of its node, and what the controller does for it.

    Attributes:
        observed_at: when the agent last reported; renewed also while nothing changes.
        agent_version: version of the agent.
        agent_instance: identifies a running agent process; two agents on one node have different ones.
        mode: the mode in force on this node, ``Observe`` or ``Enforce``.
        paused: whether the agent obeys ``spec.paused`` of the ``Overcommit``.
        memory: the node's RAM.
        swap: the node's swap.
        pressure: memory pressure of the node.
        request: the agent's request that one pod leaves the node; absent while none has to.
        decisions: the agent's last decisions, newest first.
        problems: what is wrong on the node, worst first, with the fix of each problem.
        conditions: the condition ``OvercommitPressure``.
        relief: what the controller does about the request; written by the controller.
    """

    observed_at: str | None = None
    agent_version: str = ""
    agent_instance: str = ""
    mode: str = ""
    paused: bool = False
    memory: MemoryStatus = MemoryStatus()
    swap: SwapStatus = SwapStatus()
    pressure: PressureStatus = PressureStatus()
    request: ReliefRequest | None = None
    decisions: tuple[DecisionRecord, ...] = ()
    problems: tuple[Problem, ...] = ()
    conditions: tuple[Condition, ...] = ()
    relief: ReliefRecord | None = None


class OvercommitNode(KubeStruct, frozen=True):
    """Memory overcommit of one node, as its agent reports it; the object has the node's name."""

    api_version: str = API_VERSION
    kind: str = "OvercommitNode"
    metadata: ObjectMeta = ObjectMeta()
    status: OvercommitNodeStatus = OvercommitNodeStatus()
