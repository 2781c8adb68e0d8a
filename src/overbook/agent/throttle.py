"""The throttle's adapter: `memory.high` of pods' cgroups, which nothing else on a node writes.

The kubelet writes `memory.high` of containers only. What an agent left behind that was killed is found by the
next one: a pod that may be throttled has no such limit unless the agent gave it one.
"""

import logging
from collections.abc import Mapping

from overbook.agent.collector import Collector
from overbook.core.overcommit.facts import PodFacts
from overbook.kernel.cgroup import Cgroup
from overbook.kernel.files import KernelFileError, MissingKernelFile

log = logging.getLogger(__name__)


class PodThrottle:
    """Keeps the pods' `memory.high` as wanted.

    Args:
        collector: holds the pods' cgroups.
        root: the host's file system.
    """

    def __init__(self, collector: Collector, root: str) -> None:
        self._collector = collector
        self._root = root
        self._written: dict[str, int] = {}
        self._looked: set[str] = set()

    def keep(self, wanted: Mapping[str, int], facts: Mapping[str, PodFacts]) -> None:
        """Write the limits that changed, and remove those that are wanted no more.

        Args:
            wanted: `memory.high` in bytes, by the pod's UID.
            facts: what is known of the pods, by UID.
        """
        present = self._collector.pod_cgroups
        self._looked &= present.keys()
        for uid, pod in facts.items():
            if pod.critical and pod.virtual_machine and uid in present and uid not in self._looked:
                self._looked.add(uid)
                self._written.setdefault(uid, -1)  # perhaps the agent before this one gave it a limit
        for uid in self._written.keys() - wanted.keys():
            if uid in present:
                self._write(uid, None)
            self._written.pop(uid, None)
        for uid, limit in wanted.items():
            if uid in present and self._written.get(uid) != limit:
                self._write(uid, limit)
                self._written[uid] = limit

    def release(self) -> None:
        """Remove all limits that were written."""
        self.keep({}, {})

    def _write(self, uid: str, limit: int | None) -> None:
        try:
            with Cgroup(self._collector.pod_cgroups[uid].path, self._root) as cgroup:
                self._limit(cgroup, limit)
        except MissingKernelFile:
            return  # the pod just ended
        except KernelFileError as error:
            log.warning("a pod's memory.high stays as it is: %s", error)

    @staticmethod
    def _limit(cgroup: Cgroup, limit: int | None) -> None:
        try:
            if cgroup.read_memory_high() != limit:
                cgroup.write_memory_high(limit)
        except MissingKernelFile as error:
            if not cgroup.is_current() or limit is None:
                raise
            log.warning("a pod cannot be held to its request: %s", error)
