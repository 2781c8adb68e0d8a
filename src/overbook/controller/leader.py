"""One leadership: read all objects, plan, and carry out the steps. The records hold earlier steps."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from overbook.controller.journal import ReliefJournal
from overbook.controller.metrics import ControllerMetrics
from overbook.controller.node_keeper import NodeKeeper
from overbook.controller.override_keeper import OverrideKeeper
from overbook.controller.pauses import Pauses
from overbook.controller.performer import Performer
from overbook.controller.settings import ControllerSettings
from overbook.controller.situation import ClusterSituation
from overbook.core.api.group import API_VERSION
from overbook.core.api.overcommit import OVERCOMMIT_NAME, Unusable
from overbook.core.relief.case import ClusterCase, NodeCase, Rest, Step, Write
from overbook.core.relief.plan import plan
from overbook.kube.api.backoff import Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.errors import KubeError
from overbook.kube.api.events import EventRecorder
from overbook.kube.api.objects import ObjectReference

log = logging.getLogger(__name__)

LONGEST_REST_SECONDS: Final = 2.0
"""The longest time between two plans: changed numbers and silent agents trigger no plan."""
RETRY_SECONDS: Final = 0.25, 5.0
"""The first and the longest pause before a node's step that failed is tried again."""
MOST_DEFECT_SECONDS: Final = 60.0
"""The longest pause after a plan that failed by a defect."""
MOST_NOTES_AT_ONCE: Final = 4
"""The most writes at once of records that only report waiting; other requests are more important."""
COMPONENT: Final = "overbook-controller"


class Leadership:
    """The work of the leading replica. Each leadership has a new object without state of an earlier one.

    Args:
        client: the client for watches, waiting records and nodes.
        urgent: the client for the steps of a relief, so that these never queue behind other requests.
        evictions: the client for evictions, so that the steps of other nodes never queue behind those.
        settings: mode and namespace.
        leads: returns whether this process still leads.
        journal: the last events.
        metrics: the metrics.
        clock: seconds that only grow.
        wall_clock: seconds since the epoch.
    """

    def __init__(
        self,
        client: Client,
        urgent: Client,
        evictions: Client,
        settings: ControllerSettings,
        *,
        leads: Callable[[], bool],
        journal: ReliefJournal,
        metrics: ControllerMetrics,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._metrics = metrics
        self.situation = ClusterSituation(client, settings, clock, wall_clock)
        self._events = EventRecorder(client, component=COMPONENT)
        self._unusable: Unusable | None = None
        self._dropped = 0
        self._defects = Backoff(LONGEST_REST_SECONDS, MOST_DEFECT_SECONDS)
        self._keeper = NodeKeeper(client, self.situation, leads, metrics, wall_clock)
        self._overrides = OverrideKeeper(client, leads, metrics, wall_clock, clock)
        self._performer = Performer(
            urgent,
            evictions,
            client,
            self.situation,
            leads=leads,
            events=self._events,
            journal=journal,
            metrics=metrics,
            wall_clock=wall_clock,
        )
        self._notes = asyncio.Semaphore(MOST_NOTES_AT_ONCE)
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._pauses = Pauses(*RETRY_SECONDS, clock)

    async def run(self) -> None:
        """Work until cancelled, which also cancels the steps under way."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.situation.run())
                tasks.create_task(self._events.run())
                tasks.create_task(self._keeper.run())
                tasks.create_task(self._overrides.run())
                tasks.create_task(self._plan_forever())
        finally:
            left = list(self._busy.values())
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _plan_forever(self) -> None:
        await self.situation.wait_known()
        log.info(
            "%d nodes report, %d need relief",
            len(self.situation.asking.objects),
            len(self.situation.cases()),
        )
        while True:
            self.situation.woken.clear()
            began = self._clock()
            self._note_overcommit()
            try:
                until = self._plan_once()
            except Exception as error:  # the next leadership would have the same defect
                self._metrics.failures["plan"] += 1
                log.exception("no plan could be made")
                await asyncio.sleep(self._defects.next_seconds(error))
                continue
            self._defects.reset()
            took = self._clock() - began
            self._metrics.plans += 1
            self._metrics.plan_seconds += took
            # At most half of the time is spent on planning, so that steps are carried out.
            await asyncio.sleep(took)
            rest = LONGEST_REST_SECONDS if until is None else until - self._wall_clock()
            try:
                async with asyncio.timeout(min(max(rest, 0.01), LONGEST_REST_SECONDS)):
                    await self.situation.woken.wait()
            except TimeoutError:
                pass

    def _plan_once(self) -> float | None:
        """Begin every possible step. Returns when the next one is due, if that is known."""
        situation = self.situation
        due: list[float] = []
        for node, planned in self._planned(situation.cases(), situation.cluster()).items():
            if node in self._busy:
                continue
            if self._pauses.hold(node):
                continue
            step = situation.records.first(node, planned)
            if isinstance(step, Rest):
                if step.until is not None:
                    due.append(step.until)
                continue
            self._begin(node, step)
        return min(due, default=None)

    def _planned(self, cases: list[NodeCase], cluster: ClusterCase) -> dict[str, Step]:
        """Plan for all nodes; if that fails, for those with which it does not fail.

        Each node that is left out counts as one from which a pod is leaving.
        """
        now = self._wall_clock()
        try:
            return plan(cases, cluster, now)
        except Exception:
            self._metrics.failures["plan"] += 1
            sound = [case for case in cases if _can_be_planned(case, cluster, now)]
            log.exception("nodes are left out of the plan: %s", _left_out(cases, sound))
            places = max(0, cluster.spec.per_cluster - (len(cases) - len(sound)))
            fewer = msgspec.structs.replace(cluster.spec, per_cluster=places)
            return plan(sound, msgspec.structs.replace(cluster, spec=fewer), now)

    def _note_overcommit(self) -> None:
        """Report that there is no ``Overcommit`` that can be followed, or that there is one again."""
        self._metrics.events_dropped += self._events.dropped - self._dropped
        self._dropped = self._events.dropped
        problem = self.situation.overcommit.problem
        if problem == self._unusable:
            return
        self._unusable = problem
        if problem is None:
            log.info("there is an Overcommit that can be followed")
            return
        log.warning("%s", problem.sentence)
        self._metrics.events[problem.word] += 1
        written = self.situation.overcommits.objects.get(OVERCOMMIT_NAME)
        about = ObjectReference(
            api_version=API_VERSION,
            kind="Overcommit",
            name=OVERCOMMIT_NAME,
            uid=written.metadata.uid if written else None,
        )
        self._events.record(about, problem.word, problem.sentence, type="Warning")

    def _begin(self, node: str, step: Step) -> None:
        task = asyncio.create_task(self._step(node, step))
        self._busy[node] = task
        task.add_done_callback(lambda _: self._ended(node))

    def _ended(self, node: str) -> None:
        del self._busy[node]
        self.situation.wake()

    async def _step(self, node: str, step: Step) -> None:
        began = self._clock()
        try:
            if isinstance(step, Write) and step.record.stage == "Waiting":
                async with self._notes:
                    await self._performer.perform(node, step)
            else:
                await self._performer.perform(node, step)
        except KubeError as error:
            kind = type(step).__name__.lower()
            self._metrics.failures[kind] += 1
            pause = self._pauses.failed(node, error)
            log.warning("node %s: %s failed, retry in %.1f s: %s", node, kind, pause, error)
        except Exception:  # a defect for one node must not stop relief for the others
            self._metrics.failures["defect"] += 1
            self._pauses.rest_until(node, self._clock() + LONGEST_REST_SECONDS)
            log.exception("node %s: a step failed", node)
        else:
            log.debug("node %s: %s in %.3f s", node, type(step).__name__.lower(), self._clock() - began)
            self._pauses.forget(node)


def _can_be_planned(case: NodeCase, cluster: ClusterCase, now: float) -> bool:
    try:
        plan([case], cluster, now)
    except Exception:  # noqa: BLE001 - the caller logs it
        return False
    return True


def _left_out(cases: list[NodeCase], planned: list[NodeCase]) -> str:
    return ", ".join(sorted({case.name for case in cases} - {case.name for case in planned}))
