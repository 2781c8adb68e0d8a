"""One leadership: read all objects, plan, and carry out the steps. The records hold earlier steps."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from overbook.controller.journal import ReliefJournal
from overbook.controller.metrics import ControllerMetrics
from overbook.controller.node_keeper import NodeKeeper
from overbook.controller.performer import Performer
from overbook.controller.settings import ControllerSettings
from overbook.controller.situation import ClusterSituation
from overbook.core.relief.case import Rest, Step, Write
from overbook.core.relief.plan import plan
from overbook.kube.api.backoff import Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.errors import KubeError
from overbook.kube.api.events import EventRecorder

log = logging.getLogger(__name__)

LONGEST_REST_SECONDS: Final = 2.0
"""The longest time between two plans: changed numbers and silent agents trigger no plan."""
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
        self.situation = ClusterSituation(client, settings, clock)
        self._events = EventRecorder(client, component=COMPONENT)
        self._keeper = NodeKeeper(client, self.situation, leads, metrics, wall_clock)
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
        self._backoffs: dict[str, Backoff] = {}
        self._not_before: dict[str, float] = {}

    async def run(self) -> None:
        """Work until cancelled, which also cancels the steps under way."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.situation.run())
                tasks.create_task(self._events.run())
                tasks.create_task(self._keeper.run())
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
            until = self._plan_once()
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
        for node, step in plan(situation.cases(), situation.cluster(), self._wall_clock()).items():
            if node in self._busy:
                continue
            if self._clock() < self._not_before.get(node, 0.0):
                continue
            if isinstance(step, Rest):
                if node in situation.records.lost:
                    self._begin(node, Write(situation.records.of(node)))
                elif step.until is not None:
                    due.append(step.until)
                continue
            self._begin(node, step)
        return min(due, default=None)

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
            backoff = self._backoffs.setdefault(node, Backoff())
            pause = backoff.next_seconds(error)
            self._not_before[node] = self._clock() + pause
            log.warning("node %s: %s failed, retry in %.1f s: %s", node, kind, pause, error)
        except Exception:  # a defect for one node must not stop relief for the others
            self._metrics.failures["defect"] += 1
            self._not_before[node] = self._clock() + LONGEST_REST_SECONDS
            log.exception("node %s: a step failed", node)
        else:
            log.debug("node %s: %s in %.3f s", node, type(step).__name__.lower(), self._clock() - began)
            self._backoffs.pop(node, None)
            self._not_before.pop(node, None)
