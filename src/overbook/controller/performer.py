"""One step of a plan, carried out: read a pod, write the record, or request the eviction."""

import logging
import time
from collections.abc import Callable

import msgspec

from overbook.controller.eviction import Eviction, EvictionApi
from overbook.controller.journal import ReliefJournal
from overbook.controller.kinds import INSTANCES
from overbook.controller.metrics import ControllerMetrics
from overbook.controller.situation import ClusterSituation
from overbook.core.api.overcommit_node import ReliefRecord
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubevirt.objects import MovableInstance
from overbook.core.relief.candidate_pod import candidate_pod, instance_name
from overbook.core.relief.case import Cancel, Delete, Evict, Look, Step, Uncancelled, Write
from overbook.core.relief.events import relief_events
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError
from overbook.kube.api.events import EventRecorder, EventType
from overbook.kube.api.kinds import PODS
from overbook.kube.api.objects import ObjectReference

log = logging.getLogger(__name__)


class Performer:
    """The part of the leader that carries out a step of the plan for a node.

    Args:
        client: the client for urgent requests; nothing else shares its connections.
        evictions: the client for evictions, which other programs' webhooks may hold up for half a minute.
        notes: the client for records that only report waiting: hundreds of them must not delay a step.
        situation: the state of the cluster; results are stored there.
        leads: returns whether this process leads; called before anything that only a leader may do.
        events: the recorder of events on pods and nodes.
        journal: the last events.
        metrics: the metrics.
        wall_clock: seconds since the epoch.
    """

    def __init__(
        self,
        client: Client,
        evictions: Client,
        notes: Client,
        situation: ClusterSituation,
        *,
        leads: Callable[[], bool],
        events: EventRecorder,
        journal: ReliefJournal,
        metrics: ControllerMetrics,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._notes = notes
        self._eviction: Eviction = EvictionApi(evictions)
        self._situation = situation
        self._leads = leads
        self._events = events
        self._journal = journal
        self._metrics = metrics
        self._wall_clock = wall_clock

    async def perform(self, node: str, step: Step) -> None:
        """Carry out a step.

        Raises:
            KubeError: the step failed, with an unknown or no effect.
        """
        if not self._leads():
            return
        if isinstance(step, Look):
            await self._look(node, step.uid, step.label)
        elif isinstance(step, Write):
            await self._write(node, step.record)
        elif isinstance(step, Evict | Delete):
            answer = await self._eviction.request(self._situation.records.of(node), step)
            self._metrics.answers[answer.meaning] += 1
            self._situation.answers[node] = msgspec.structs.replace(answer, at=self._wall_clock())
        elif isinstance(step, Cancel):
            await self._cancel(node, step)

    async def _look(self, node: str, uid: str, label: str) -> None:
        situation = self._situation
        namespace, _, name = label.partition("/")
        pod = await _found(self._client, namespace, name)
        instance: MovableInstance | None = None
        owner = instance_name(pod) if pod is not None else ""
        known = situation.pods.get(node, {}).get(uid)
        if not owner and known is not None:
            owner = known.instance.partition("/")[2]
        if owner and situation.kubevirt.present is not False:
            instance = await _instance(self._client, namespace, owner)
        seen = candidate_pod(node, uid, pod, instance, situation.defaults, self._wall_clock())
        situation.pods.setdefault(node, {})[uid] = seen

    async def _write(self, node: str, record: ReliefRecord) -> None:
        situation = self._situation
        before = situation.records.of(node)
        answer = situation.answers.get(node)
        client = self._notes if record.stage == "Waiting" else self._client
        if not await situation.records.write(client, situation.asking.objects.get(node), node, record):
            situation.answers.pop(node, None)
            return
        if situation.answers.get(node) is answer:
            situation.answers.pop(node, None)
        situation.uncancelled.pop(node, None)
        if record.stage is None and not record.refusals:
            situation.pods.pop(node, None)
        self._report(node, before, record)

    async def _cancel(self, node: str, step: Cancel) -> None:
        situation = self._situation
        situation.pods.get(node, {}).pop(step.uid, None)  # whatever comes of it, it has to be looked at again
        found: Uncancelled | None = Uncancelled("the answer is not known")
        try:
            found = await self._eviction.withdraw(step)
        except KubeError as error:
            found = Uncancelled(str(error))
            raise
        finally:
            found = found or Uncancelled("the VM is marked again")
            situation.uncancelled[node] = msgspec.structs.replace(found, at=self._wall_clock())

    def _report(self, node: str, before: ReliefRecord, after: ReliefRecord) -> None:
        for event in relief_events(node, before, after):
            log.log(logging.WARNING if event.warning else logging.INFO, "%s: %s", event.reason, event.message)
            self._metrics.events[event.reason] += 1
            self._journal.add(node, event.reason, event.message, self._wall_clock())
            kind: EventType = "Warning" if event.warning else "Normal"
            about = [ObjectReference(api_version="v1", kind="Node", name=node, uid=node)]
            if event.uid:
                namespace, _, name = event.label.partition("/")
                about.append(
                    ObjectReference(
                        api_version="v1", kind="Pod", namespace=namespace, name=name, uid=event.uid
                    )
                )
            for regarding in about:
                self._events.record(regarding, event.reason, event.message, type=kind)
        if after.stage == "Waiting" and after.message != before.message:
            log.info("%s waits: %s", node, after.message)
            self._journal.add(node, "Waiting", after.message, self._wall_clock())


async def _found(client: Client, namespace: str, name: str) -> Pod | None:
    try:
        return await client.get(PODS, name, namespace)
    except ApiError as error:
        if error.is_not_found:
            return None
        raise


async def _instance(client: Client, namespace: str, name: str) -> MovableInstance | None:
    try:
        return await client.get(INSTANCES, name, namespace)
    except ApiError as error:
        if error.is_not_found:
            return None
        raise
