"""The custom resource ``Overcommit``: what the cluster's owner decides, one object named ``cluster``.

Agents, controller, webhook and ``overbook status`` read the object; none of them writes its spec. Where there
is none, or one that does not fit this version, nothing is changed (mode ``Observe``). The other settings stay
as they were last known, so that sizes in reports do not move.
"""

from typing import Annotated, Final, Literal

import msgspec

from overbook.core.api.group import API_VERSION
from overbook.core.api.override import Mode, PodResourceOverride
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta
from overbook.core.percentage import ConfiguredPercent

OVERCOMMIT_NAME: Final = "cluster"
"""The only name that an ``Overcommit`` may have."""

_LONGEST_DETAIL: Final = 200

UnusableWord = Literal["NoOvercommit", "OvercommitUnreadable", "OvercommitUnknown"]
"""``NoOvercommit``: the API server has no such object. ``OvercommitUnreadable``: it has one that does not fit
this version. ``OvercommitUnknown``: it was not read yet."""

UNUSABLE_WORDS: Final[tuple[UnusableWord, ...]] = (
    "NoOvercommit",
    "OvercommitUnreadable",
    "OvercommitUnknown",
)

LastResort = Literal["None", "Delete"]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=86_400)]


class ReliefSpec(KubeStruct, frozen=True):
    """Relief is the eviction or live migration of pods from nodes under pressure; these are its limits.

    Attributes:
        per_cluster: how many pods of the whole cluster may be evicted or live-migrated at once; 0 begins
            none.
        cool_down_seconds: pause after a pod has left, before the next pod of the same node is evicted.
        follow_seconds: how long a live migration or an eviction may take before it is given up.
        stall_seconds: after so long without progress a migration no longer counts against the limits,
            while pressure is critical.
        stale_seconds: an agent that has neither renewed its Lease nor reported for so long counts as stopped,
            and the taint is removed from its node.
        last_resort: what happens when pressure stays critical and every candidate was refused. ``Delete``
            deletes a pod without the Eviction API; ``None`` deletes nothing.
    """

    per_cluster: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 5
    cool_down_seconds: Seconds = 60
    follow_seconds: Seconds = 600
    stall_seconds: Seconds = 120
    stale_seconds: Seconds = 90
    last_resort: LastResort = "None"


class OvercommitSpec(KubeStruct, frozen=True):
    """Settings of the cluster's overcommit.

    Attributes:
        percentage: memory promised to VMs, in percent of the RAM that nodes have; 100 is no overcommit.
            KubeVirt's ``memoryOvercommit`` has to be the same number.
        mode: ``Observe`` decides and reports on all nodes, and changes nothing; ``Enforce`` acts.
        paused: while true, nothing new is begun. Agents go on measuring and reporting, and limits in force
            stay as they are.
        relief: limits on evictions and live migrations from nodes under pressure.
        override: how the webhook overrides pods' requests at admission, where OpenShift's
            ``ClusterResourceOverride`` does not exist.
    """

    percentage: ConfiguredPercent = 100
    mode: Mode = "Observe"
    paused: bool = False
    relief: ReliefSpec = ReliefSpec()
    override: PodResourceOverride | None = None


class Overcommit(KubeStruct, frozen=True):
    """Settings of the cluster's memory overcommit; the one object is named ``cluster``."""

    api_version: str = API_VERSION
    kind: str = "Overcommit"
    metadata: ObjectMeta = ObjectMeta(name=OVERCOMMIT_NAME)
    spec: OvercommitSpec = OvercommitSpec()


class WrittenOvercommit(KubeStruct, frozen=True):
    """An ``Overcommit`` whose spec is still as it was written.

    One that this version does not understand is thus seen, and not taken for one that does not exist.
    """

    metadata: ObjectMeta = ObjectMeta(name=OVERCOMMIT_NAME)
    spec: msgspec.Raw = msgspec.Raw(b"{}")


class Unusable(msgspec.Struct, frozen=True, gc=False):
    """Why there is no ``Overcommit`` that can be followed.

    Attributes:
        word: for programs.
        detail: for people: what does not fit, or what holds meanwhile; may be empty.
    """

    word: UnusableWord
    detail: str = ""

    @property
    def sentence(self) -> str:
        """The reason, for people."""
        if self.word == "NoOvercommit":
            return f"there is no Overcommit named {OVERCOMMIT_NAME}, so nothing is changed (mode Observe)"
        if self.word == "OvercommitUnreadable":
            return (
                f"this version cannot use the Overcommit named {OVERCOMMIT_NAME} ({self.detail}), so nothing "
                "is changed (mode Observe)"
            )
        holds = f"what it last said holds ({self.detail})" if self.detail else "nothing is changed"
        return f"it is not known yet what the Overcommit named {OVERCOMMIT_NAME} says: {holds}"

    @property
    def fix(self) -> str:
        """The command that removes the cause, or shows more about it."""
        if self.word == "NoOvercommit":
            return "overbook manifests --part overcommit | kubectl create -f -"
        if self.word == "OvercommitUnreadable":
            return f"kubectl edit overcommit {OVERCOMMIT_NAME}"
        return "kubectl auth can-i watch overcommits --as system:serviceaccount:overbook:overbook-agent"


class OvercommitInForce(msgspec.Struct, frozen=True, gc=False):
    """The settings that are followed.

    Attributes:
        spec: the settings.
        problem: why they are not those of an ``Overcommit`` that can be used; ``None``: they are.
    """

    spec: OvercommitSpec
    problem: Unusable | None = None


def read_overcommit(written: WrittenOvercommit | None) -> OvercommitSpec | Unusable:
    """Return the spec of the object that the API server has, or why there is none.

    Args:
        written: the object; ``None``: the API server says that there is none.
    """
    if written is None:
        return Unusable("NoOvercommit")
    try:
        return _SPEC.decode(written.spec)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        problem, _, path = str(error).partition(" - at `$")
        detail = f"spec{path.rstrip('`')}: {problem}"
        return Unusable("OvercommitUnreadable", detail[:_LONGEST_DETAIL])


def in_force(read: OvercommitSpec | Unusable, before: OvercommitSpec) -> OvercommitInForce:
    """Return the settings that are followed: with a problem, those of before, but nothing is changed.

    Args:
        read: the object as it was read.
        before: the settings that were last known, or defaults.
    """
    if isinstance(read, OvercommitSpec):
        return OvercommitInForce(read)
    return OvercommitInForce(msgspec.structs.replace(before, mode="Observe", paused=False), read)


_SPEC: Final = msgspec.json.Decoder(OvercommitSpec)
