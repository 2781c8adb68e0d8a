"""``qos-reserved``: keeps what higher QoS classes requested from the lower ones, on the classes' cgroups.

The kubelet's own switch for it is an alpha feature gate that is off. Where a kubelet has it on, the agent
leaves the classes to it.
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

PATIENCE: Final = 3
"""After this many corrections somebody else clearly writes these limits too: say so, once."""


class Reserve(msgspec.Struct, frozen=True, gc=False):
    """One class's limit, and why.

    Attributes:
        quality: the class.
        path: of its cgroup.
        limit_bytes: where ``memory.max`` should be, in whole pages.
        sentence: the numbers that it comes from.
    """

    quality: str
    path: str
    limit_bytes: int
    sentence: str


class Reserves:
    """Compares the classes' limits with what they should be, every tick.

    Args:
        collector: knows where the classes' cgroups are.
        root: the host's file system.
        percent: ``qosReservedMemoryPercent``; 0: nothing is kept, and what an agent before this one wrote is
            put back.
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
        self._told: dict[str, str] = {}
        self._corrections: dict[str, int] = {}
        self.hindrance = ""
        """Why the classes are left alone although they are to be kept; empty: they are not."""
        self.written = 0
        """Limits written since the start, for the metrics."""

    def enforce(self, enforcing: bool) -> None:
        """Act from now on, or only tell."""
        self._writer = self._acting if enforcing else self._telling

    def restore(self) -> int:
        """Put back what was there before the agent came; how many limits were put back."""
        return self._writer.restore()

    def keep(
        self, capacity_bytes: int, pods: Mapping[str, ResolvedPod], kubelet: KubeletConfiguration | None
    ) -> None:
        """Write every limit that is not what it should be.

        Args:
            capacity_bytes: RAM of the node.
            pods: of the node; where nothing changed the same mapping as the last time.
            kubelet: what it was told; ``None``: that is not known. What all pods may use is then known from
                the limit that it wrote.
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
                for reserve in self._reserves(capacity_bytes):
                    self._keep(reserve)
        except MissingKernelFile:
            return  # a class's cgroup went while we looked: the next tick sees what there is
        except (KernelFileError, InvalidInput, OSError) as error:
            hindrance = str(error)
        self._hinder(hindrance)

    def _elsewhere(self) -> str:
        """Why the classes are the kubelet's own business; empty: they are not."""
        kept = self._kubelet.qos_reserved_percent if self._kubelet is not None else None
        if kept is None:
            return ""
        self._writer.forget()
        return f"the kubelet keeps {kept} % for higher QoS classes itself (qosReserved, gate QOSReserved)"

    def _unclear(self) -> str:
        """Why it is not known which cgroups are meant; empty: it is."""
        tops = sorted(path for path, quality in self._collector.class_paths if quality == "Guaranteed")
        if len(tops) > 1:
            return f"several cgroups look like a kubelet's: {', '.join(tops)}"
        return "" if tops else "there is no cgroup kubepods on this node"

    def _reserves(self, capacity_bytes: int) -> Iterator[Reserve]:
        enforced, source = self._enforced(capacity_bytes)
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
        """What all pods may use, and how that is known.

        The kubelet's configuration says it to the byte, the limit that the kubelet wrote only to the page.
        But where the two differ the limit is right: not all that a kubelet was told is in its files.
        """
        top = next(path for path, quality in self._collector.class_paths if quality == "Guaranteed")
        with Cgroup(top, self._root) as cgroup:
            limit = cgroup.read_memory_max()
        if self._kubelet is not None:
            told = self._kubelet.enforced_bytes(capacity_bytes)
            if limit is None or whole_pages(told, self._page_bytes) == limit:
                return told, "allocatable by the kubelet's configuration"
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
        held = f"; {shown(usage)} in use, so it goes there by steps" if limit != reserve.limit_bytes else ""
        change = f"memory.max of {reserve.quality} pods ({reserve.path})"
        said = f"{reserve.sentence}, by steps" if held else reserve.sentence
        known, self._told[reserve.path] = self._told.get(reserve.path), said
        if written:
            self.written += 1
            self._count_correction(reserve.path, present)
            self._ours[reserve.path] = limit
            level = logging.DEBUG if said == known else logging.INFO  # steps and corrections are said once
            log.log(
                level, "%s: %s -> %s (%s%s)", change, shown(present), shown(limit), reserve.sentence, held
            )
        elif said != known:
            log.info("%s would be %s (%s%s)", change, shown(limit), reserve.sentence, held)

    def _count_correction(self, path: str, present: int | None) -> None:
        """Where another limit was left than the one found now, somebody else has changed it."""
        if self._ours.get(path, present) == present:
            return
        count = self._corrections[path] = self._corrections.get(path, 0) + 1
        if count == PATIENCE:
            log.warning("memory.max of %s is written by something else too; it is put back each time", path)

    def _hinder(self, hindrance: str) -> None:
        if hindrance != self.hindrance:
            self.hindrance = hindrance
            if hindrance:
                log.warning("memory.max of QoS classes is left alone: %s", hindrance)
            else:
                log.info("memory.max of QoS classes is kept")
