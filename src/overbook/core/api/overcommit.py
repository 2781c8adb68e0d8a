"""The custom resource ``Overcommit``: what the cluster's owner decides, one object named ``cluster``.

Agents, controller, webhook and ``overbook status`` read it; nobody of them writes its spec.
"""

from typing import Annotated, Final, Literal

import msgspec

from overbook.core.api.group import API_VERSION
from overbook.core.api.override import Mode, PodResourceOverride
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta
from overbook.core.percentage import ConfiguredPercent

OVERCOMMIT_NAME: Final = "cluster"
"""The only name that an ``Overcommit`` may have."""

LastResort = Literal["None", "Delete"]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=86_400)]


class ReliefSpec(KubeStruct, frozen=True):
    """Budgets of relief, and how far it may go.

    Attributes:
        per_cluster: guests that may be on their way at once, in the whole cluster.
        cool_down_seconds: after a guest has gone, before another of the same node is asked.
        follow_seconds: how long a live migration is followed before it is given up.
        stall_seconds: a migration without progress for so long frees its place while pressure is critical.
        stale_seconds: an agent that has not reported for so long counts as stopped: its node's taint goes.
        last_resort: ``Delete`` deletes a pod when pressure stays critical and every candidate refused.
    """

    per_cluster: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 5
    cool_down_seconds: Seconds = 60
    follow_seconds: Seconds = 600
    stall_seconds: Seconds = 120
    stale_seconds: Seconds = 90
    last_resort: LastResort = "None"


class OvercommitSpec(KubeStruct, frozen=True):
    """What the owner wants.

    Attributes:
        percentage: memory promised to guests, of the RAM there is; 100 is no overcommit.
        mode: ``Observe`` decides and reports everywhere, and changes nothing.
        paused: nothing is started any more until it is false again; agents go on measuring and reporting,
            and limits in force stay as they are.
        relief: budgets of relief.
        override: requests overridden at admission, where OpenShift's own kinds do not exist.
    """

    percentage: ConfiguredPercent = 100
    mode: Mode = "Enforce"
    paused: bool = False
    relief: ReliefSpec = ReliefSpec()
    override: PodResourceOverride | None = None


class Overcommit(KubeStruct, frozen=True):
    """The cluster's overcommit."""

    api_version: str = API_VERSION
    kind: str = "Overcommit"
    metadata: ObjectMeta = ObjectMeta(name=OVERCOMMIT_NAME)
    spec: OvercommitSpec = OvercommitSpec()
