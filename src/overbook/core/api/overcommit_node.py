"""The custom resource ``OvercommitNode``: one for each node and named like it.

The agent writes all of its status but ``relief``, which is the controller's: by server-side apply, so that
neither can drop what the other wrote. Times are RFC 3339 in UTC with microseconds. Every list is bounded.
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
"""``Pressure``: a rule holds. ``Critical``: it has held so long that a guest has to go."""

Stage = Literal["Asking", "Migrating", "Ending", "CoolingDown", "Waiting", "Refused"]
"""Of a relief. ``Asking``: written down before the eviction is sent. ``Migrating``: a live migration is
followed. ``Ending``: the pod was evicted or deleted and is not gone yet. ``CoolingDown``: it is gone and its
effect is given time. ``Waiting``: a budget is used up, or the API server said when to come again.
``Refused``: every candidate refused."""

How = Literal["Migrated", "Restarted", "Evicted", "Deleted"]
"""``Migrated`` is said only of a live migration; a VM that is evicted without one is ``Restarted``."""

Outcome = Literal["Migrated", "Restarted", "Evicted", "Deleted", "Gone", "GivenUp", "Failed"]
"""``Gone``: the pod ended by itself before anything was done. ``GivenUp``: it took too long."""


class MemoryStatus(KubeStruct, frozen=True):
    """The node's RAM.

    Attributes:
        total_bytes: MemTotal.
        available_bytes: MemAvailable.
        promised_bytes: guest memory of its VMs, and memory limits (else requests) of its other pods.
    """

    total_bytes: int = 0
    available_bytes: int | None = None
    promised_bytes: int | None = None


class SwapStatus(KubeStruct, frozen=True):
    """The node's swap.

    Attributes:
        total_bytes: SwapTotal.
        used_bytes: in use.
        allowed_bytes: sum of all allowances.
        demanded_bytes: what the percentage demands: RAM × (percentage/100 − 1).
        in_pages_per_second: averaged over the ruleset's window; ``None``: not known yet.
        out_pages_per_second: the same out.
        writer: who writes the limits: ``reconcile``, ``nri``, ``hook`` or ``kubelet``; empty: not known yet.
        writer_sentence: why that one.
        differing: containers whose limit is not what it should be, and is not the agent's to write.
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


class PressureStatus(KubeStruct, frozen=True):
    """How the node is.

    Attributes:
        state: see :data:`PressureState`.
        since: when that state began.
        rule: the rule that holds; empty: none.
        sentence: what its detectors saw.
        stall_full_percent: PSI ``full`` over the last seconds.
    """

    state: PressureState = "None"
    since: str | None = None
    rule: str = ""
    sentence: str = ""
    stall_full_percent: float | None = None


class ReliefCandidate(KubeStruct, frozen=True):
    """A guest that could go, as its agent ranked it.

    Attributes:
        uid: the pod's UID; a pod of the same name with another UID is another guest.
        namespace: of the pod.
        name: of the pod.
        virtual_machine: owned by a KubeVirt VirtualMachineInstance.
        priority: its priority.
        usage_bytes: memory and swap together.
        swap_bytes: swap in use: all of it has to come back before a live migration can end.
        growth_bytes_per_second: how fast it takes (and so dirties) memory.
        over_request_bytes: usage beyond its request.
        over_promise_bytes: usage beyond request and allowance together.
        blame: its share of growth and of refaults together, 0–2.
        sentence: the numbers for people.
        excluded: why it must not go; empty where it may.
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
    blame: float = 0.0
    sentence: str = ""
    excluded: str = ""

    @property
    def label(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"


class ReliefRequest(KubeStruct, frozen=True):
    """The agent asks for one guest to go. It stays while the pressure does.

    Attributes:
        id: one for each pressure; another decision has another one.
        decided_at: when.
        rule: the rule that fired.
        sentence: the whole decision, for people.
        rank: by which the agent ordered them, ``culprit`` or ``original``; only the first knows equals.
        candidates: in the agent's order, at most :data:`MOST_CANDIDATES`.
    """

    id: str
    decided_at: str
    rule: str = ""
    sentence: str = ""
    rank: str = "culprit"
    candidates: tuple[ReliefCandidate, ...] = ()


class DecisionRecord(KubeStruct, frozen=True):
    """One of the agent's last decisions."""

    id: str
    at: str
    action: str
    sentence: str
    victim: str = ""


class Problem(KubeStruct, frozen=True):
    """Something that is wrong on the node.

    Attributes:
        word: for programs.
        sentence: for people.
        fix: the command or setting that removes the cause; empty where none is known.
    """

    word: str
    sentence: str
    fix: str = msgspec.field(name="mend", default="")


class Condition(KubeStruct, frozen=True):
    """A condition as Kubernetes writes them."""

    type: str
    status: Literal["True", "False", "Unknown"]
    last_transition_time: str
    reason: str
    message: str = ""


class Refusal(KubeStruct, frozen=True):
    """A candidate that could not go."""

    uid: str
    label: str
    reason: str
    message: str
    at: str


class ReliefOutcome(KubeStruct, frozen=True):
    """A relief that is over."""

    request_id: str
    victim: str
    outcome: Outcome
    message: str
    started_at: str
    finished_at: str


class ReliefRecord(KubeStruct, frozen=True):
    """What the controller does about the node's request, written down before it is done.

    Attributes:
        request_id: the request that this answers.
        stage: see :data:`Stage`.
        victim_uid: the pod that was asked; empty: nobody yet.
        victim: its label.
        how: how it goes.
        migration: name of the VirtualMachineInstanceMigration that is followed.
        started_at: when the victim was asked.
        stage_since: when the stage began.
        until: when the stage ends by itself, or something is tried again; ``None``: not by the clock.
        expected_seconds: how long the move was expected to take when the victim was asked.
        message: the stage in a sentence.
        refusals: candidates that refused this request, at most :data:`MOST_REFUSALS`.
        outcomes: reliefs of this node that are over, newest first, at most :data:`MOST_OUTCOMES`.
    """

    request_id: str = ""
    stage: Stage | None = None
    victim_uid: str = ""
    victim: str = ""
    how: How | None = None
    migration: str = ""
    started_at: str | None = None
    stage_since: str | None = None
    until: str | None = None
    expected_seconds: int = 0
    message: str = ""
    refusals: tuple[Refusal, ...] = ()
    outcomes: tuple[ReliefOutcome, ...] = ()


class OvercommitNodeStatus(KubeStruct, frozen=True):
    """What the agent knows of its node, and what the controller does for it.

    Attributes:
        observed_at: when the agent last looked; it renews this while all is calm, too.
        agent_version: Overbook's version.
        agent_instance: one running agent: two of them on one node are told apart by it.
        mode: the mode in force on this node.
        paused: whether the agent obeys a pause.
        memory: RAM.
        swap: swap.
        pressure: how the node is.
        request: the guest that has to go; ``None``: nobody.
        decisions: the last ones, newest first, at most :data:`MOST_DECISIONS`.
        problems: worst first, at most :data:`MOST_PROBLEMS`.
        conditions: :data:`PRESSURE_CONDITION`.
        relief: the controller's part.
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
    """A node as its agent sees it."""

    api_version: str = API_VERSION
    kind: str = "OvercommitNode"
    metadata: ObjectMeta = ObjectMeta()
    status: OvercommitNodeStatus = OvercommitNodeStatus()
