"""The look, now and then, for running pods that have no container cgroup, and for where they are instead."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec

from overbook.core.kubernetes.pod import Pod
from overbook.core.pressure.sample import Sample
from overbook.core.say_once import SayOnce
from overbook.kernel.files import KernelFileError
from overbook.kernel.misplaced import find_misplaced

log = logging.getLogger(__name__)

FIRST_SECONDS: Final = 5.0
"""A pod that starts has its cgroups after a moment."""
AGAIN_SECONDS: Final = 60.0
"""The look goes through all cgroups of the node: it is seldom, and only while a pod seems to be missing."""

_STARTED: Final = (None, "Running")


class MisplacedPod(msgspec.Struct, frozen=True, gc=False):
    """A running pod that has no container cgroup.

    Attributes:
        label: ``namespace/name``.
        path: the cgroup where its processes are.
    """

    label: str
    path: str

    def __str__(self) -> str:
        return f"{self.label} is in {self.path}"


class MisplacedPods:
    """Knows the running pods that have no container cgroup.

    Args:
        root: directory of the host's file system.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._say = SayOnce(partial(log.warning, "%s"))
        self._since: float | None = None
        self._looked: float | None = None
        self._suspects: frozenset[str] = frozenset()
        self.found: tuple[MisplacedPod, ...] = ()
        """What the last look found."""

    def look(self, sample: Sample, pods: Mapping[str, Pod], now: float) -> None:
        """Look, if a pod seems to be missing and it is time.

        Args:
            sample: the newest sample.
            pods: this node's pods by UID.
            now: monotonic seconds.
        """
        suspects = _suspects(sample, pods)
        if suspects != self._suspects:
            self._suspects, self._since = suspects, now
            self._looked = None
            if not suspects:
                self.found = ()
        if not suspects or self._since is None or now - self._since < FIRST_SECONDS:
            return
        if self._looked is not None and now - self._looked < AGAIN_SECONDS:
            return
        self._looked = now
        self.found = self._find(suspects, pods)
        for pod in self.found:
            self._say(f"running pod without a container cgroup: {pod}", about=pod.label)

    def _find(self, suspects: frozenset[str], pods: Mapping[str, Pod]) -> tuple[MisplacedPod, ...]:
        containers = {each: uid for uid in suspects for each in _container_ids(pods[uid])}
        try:
            places = find_misplaced(self._root, suspects, containers=containers)
        except KernelFileError as error:
            self._say(f"no pod can be looked for: {error}", about="")
            return ()
        # A pod without a place may have ended just now, or its containers wait to be started again.
        found = (MisplacedPod(pods[place.uid].label, place.path) for place in places)
        return tuple(sorted(found, key=lambda pod: pod.label))


def _suspects(sample: Sample, pods: Mapping[str, Pod]) -> frozenset[str]:
    """The pods that should have containers in the sample and hold no memory in any."""
    holding = {
        pod.uid for pod in sample.pods if any(container.memory_current_bytes for container in pod.containers)
    }
    return frozenset(
        uid
        for uid, pod in pods.items()
        if uid not in holding and (pod.status is None or pod.status.phase in _STARTED)
    )


def _container_ids(pod: Pod) -> tuple[str, ...]:
    status = pod.status
    if status is None:
        return ()
    statuses = (*(status.container_statuses or ()), *(status.init_container_statuses or ()))
    return tuple((each.container_id or "").partition("://")[2] for each in statuses if each.container_id)
