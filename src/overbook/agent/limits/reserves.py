"""``qos-reserved``: lower QoS classes cannot use the memory that higher ones request, by limits on cgroups.

The kubelet has an alpha feature gate for the same, off by default. Where it is on, the agent leaves the
limits to the kubelet.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from overbook.agent.collector import Collector
from overbook.agent.limits.reserve_writer import CgroupReserveWriter, ReportingReserveWriter, ReserveWriter
from overbook.agent.limits.swap_limits import shown
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.kubernetes.reserve import ClassRequests, class_requests, held_limit_bytes, qos_reserve
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.overcommit.swap import whole_pages
from overbook.kernel.cgroup import Cgroup
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.machine import page_size_bytes

log = logging.getLogger(__name__)

MOST_CORRECTIONS: Final = 3
"""Corrections after which the log says, once, that another program writes these limits too."""


class Reserve(msgspec.Struct, frozen=True, gc=False):
    """The limit of one QoS class, and its reason.

    Attributes:
        quality: the QoS class.
        path: path of the class's cgroup.
        limit_bytes: the wanted ``memory.max``, in whole pages.
        sentence: the numbers from which the limit follows.
    """

    quality: str
    path: str
    limit_bytes: int
    sentence: str


class Reserves:
    """Keeps the classes' limits at their wanted values, every tick.

    Args:
        collector: knows where the classes' cgroups are.
        root: the host's file system.
        percent: ``qosReservedMemoryPercent``; 0: nothing is kept, and the limits of a previous agent are
            restored.
    """

    def __init__(self, collector: Collector, root: str, percent: int) -> None:
        self._collector = collector
        self._root = root
        self._percent = percent
        self._acting, self._telling = CgroupReserveWriter(root), ReportingReserveWriter()
        self._writer: ReserveWriter = self._telling
        self._kubelet: KubeletConfiguration | None = None
        self._pods: Mapping[str, ResolvedPod] | None = None
        self._requests = ClassRequests()
        self._page_bytes = page_size_bytes()
        self._ours: dict[str, int] = {}
        self._logged: dict[str, str] = {}
        self._corrections: dict[str, int] = {}
        self.hindrance = ""
        """Why the configured limits are not written; empty: they are, or none are configured."""
        self.written = 0
        """Number of limits written since the start, for the metrics."""

    def enforce(self, enforcing: bool) -> None:
        """Write from now on, or only log."""
        self._writer = self._acting if enforcing else self._telling

    def restore(self) -> int:
        """Restore the limits from before the agent; returns how many were restored."""
        return self._writer.restore()

    def keep(
        self,
        capacity_bytes: int,
        pods: Mapping[str, ResolvedPod],
        kubelet: KubeletConfiguration | None,
        ordinary_bytes: int | None = None,
    ) -> None:
        """Write every limit that differs from its wanted value.

        Args:
            capacity_bytes: RAM of the node.
            ordinary_bytes: the RAM without huge pages that were set aside, which pods do not share; ``None``:
                the same.
            pods: the node's pods; the same mapping as the last time if nothing changed.
            kubelet: the kubelet's configuration; ``None``: not known. The limit that the kubelet wrote then
                says what all pods may use.
        """
        if not self._percent:
            self.restore()
            return
        self._kubelet = kubelet
        if pods is not self._pods:
            self._pods, self._requests = pods, class_requests(pods.values())
        try:
            hindrance = self._elsewhere() or self._unclear()
            if not hindrance:
                for reserve in self._reserves(capacity_bytes, ordinary_bytes):
                    self._keep(reserve)
        except MissingKernelFile:
            return  # a class's cgroup has just been removed: the next tick sees what there is
        except (KernelFileError, InvalidInput, OSError) as error:
            hindrance = str(error)
        self._hinder(hindrance)

    def _elsewhere(self) -> str:
        """Return why the classes are left to the kubelet; empty: they are not."""
        kept = self._kubelet.qos_reserved_percent if self._kubelet is not None else None
        if kept is None:
            return ""
        self._writer.forget()
        return f"the kubelet keeps {kept} % for higher QoS classes itself (qosReserved, gate QOSReserved)"

    def _unclear(self) -> str:
        """Return why the classes' cgroups are not known; empty: they are."""
        tops = sorted(path for path, quality in self._collector.class_paths if quality == "Guaranteed")
        if len(tops) > 1:
            return f"several cgroups look like a kubelet's: {', '.join(tops)}"
        return "" if tops else "there is no cgroup kubepods on this node"

    def _reserves(self, capacity_bytes: int, ordinary_bytes: int | None) -> Iterator[Reserve]:
        enforced, source = self._enforced(capacity_bytes)
        if ordinary_bytes is not None and ordinary_bytes < enforced:
            enforced, source = ordinary_bytes, "of RAM that is not set aside as huge pages"
        if not enforced:
            raise InvalidInput("allocatable memory", 0, "reserves that leave the pods something")
        asked, percent = self._requests, self._percent
        wanted = qos_reserve(enforced, asked.guaranteed_bytes, asked.burstable_bytes, percent)
        guaranteed = f"Guaranteed {shown(asked.guaranteed_bytes)}"
        burstable = f"Burstable {shown(asked.burstable_bytes)}"
        for path, quality in self._collector.class_paths:
            if quality == "Burstable":
                limit, kept = wanted.burstable_max_bytes, guaranteed
            elif quality == "BestEffort":
                limit, kept = wanted.best_effort_max_bytes, f"{guaranteed} and {burstable}"
            else:
                continue
            sentence = f"{percent} % of what pods request ({kept}) kept from {shown(enforced)} {source}"
            yield Reserve(quality, path, whole_pages(limit, self._page_bytes), sentence)

    def _enforced(self, capacity_bytes: int) -> tuple[int, str]:
        """Return the memory that all pods may use, and where the number comes from.

        The kubelet's configuration is exact to the byte, the limit that the kubelet wrote only to the page.
        But where they differ the limit is right: the files need not hold all of the configuration.
        """
        top = next(path for path, quality in self._collector.class_paths if quality == "Guaranteed")
        with Cgroup(top, self._root) as cgroup:
            limit = cgroup.read_memory_max()
        if self._kubelet is not None:
            configured = self._kubelet.enforced_bytes(capacity_bytes)
            if limit is None or whole_pages(configured, self._page_bytes) == limit:
                return configured, "allocatable by the kubelet's configuration"
        if limit is None:
            return capacity_bytes, "of RAM, of which nothing is known to be reserved"
        return limit, f"allocatable by memory.max of {top}"

    def _keep(self, reserve: Reserve) -> None:
        with Cgroup(reserve.path, self._root) as cgroup:
            present = cgroup.read_memory_max()
            if present == reserve.limit_bytes:
                self._ours[reserve.path] = present
                return
            usage = cgroup.read_memory_current()
            limit = held_limit_bytes(reserve.limit_bytes, present, usage)
            if limit == present:
                return
            written = self._writer.write(cgroup, present, limit)
        held = f"; {shown(usage)} in use, so it is lowered by steps" if limit != reserve.limit_bytes else ""
        change = f"memory.max of {reserve.quality} pods ({reserve.path})"
        reason = f"{reserve.sentence}, by steps" if held else reserve.sentence
        known, self._logged[reserve.path] = self._logged.get(reserve.path), reason
        if written:
            self.written += 1
            self._count_correction(reserve.path, present)
            self._ours[reserve.path] = limit
            level = logging.DEBUG if reason == known else logging.INFO  # steps and corrections: once
            log.log(
                level, "%s: %s -> %s (%s%s)", change, shown(present), shown(limit), reserve.sentence, held
            )
        elif reason != known:
            log.info("%s would be %s (%s%s)", change, shown(limit), reserve.sentence, held)

    def _count_correction(self, path: str, present: int | None) -> None:
        """Count a correction if the limit is not the one that the agent last wrote or saw."""
        if self._ours.get(path, present) == present:
            return
        count = self._corrections[path] = self._corrections.get(path, 0) + 1
        if count == MOST_CORRECTIONS:
            log.warning(
                "memory.max of %s is written by another program too; the agent sets it again each time", path
            )

    def _hinder(self, hindrance: str) -> None:
        if hindrance != self.hindrance:
            self.hindrance = hindrance
            if hindrance:
                log.warning("memory.max of QoS classes is left alone: %s", hindrance)
            else:
                log.info("memory.max of QoS classes is kept")
