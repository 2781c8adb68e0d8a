"""The custom resource ``Overcommit``: what the cluster's owner decides, one object named ``cluster``.

Agents, controller, webhook and ``overbook status`` read the object; none of them writes its spec.
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
        mode: ``Enforce`` acts; ``Observe`` decides and reports on all nodes, and changes nothing.
        paused: while true, nothing new is begun. Agents go on measuring and reporting, and limits in force
            stay as they are.
        relief: limits on evictions and live migrations from nodes under pressure.
        override: how the webhook overrides pods' requests at admission, where OpenShift's
            ``ClusterResourceOverride`` does not exist.
    """

    percentage: ConfiguredPercent = 100
    mode: Mode = "Enforce"
    paused: bool = False
    relief: ReliefSpec = ReliefSpec()
    override: PodResourceOverride | None = None


class Overcommit(KubeStruct, frozen=True):
    """Settings of the cluster's memory overcommit; the one object is named ``cluster``."""

    api_version: str = API_VERSION
    kind: str = "Overcommit"
    metadata: ObjectMeta = ObjectMeta(name=OVERCOMMIT_NAME)
    spec: OvercommitSpec = OvercommitSpec()
