"""The story of the demo on a cluster: pods are made, one of them runs wild, and the node is relieved.

See :mod:`overbook_sandbox.demo.cluster_stage` for the cluster, and
:mod:`overbook_sandbox.demo.cluster_events` for the events from the cluster's objects.
"""

import asyncio
import os
import queue
import subprocess
import time
from collections.abc import Callable
from signal import Signals
from typing import Final

from overbook.core.api.overcommit_node import OvercommitNodeStatus
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, ApiUnavailable
from overbook.kube.api.find_cluster import load_config
from overbook.kube.api.kinds import NODES, OVERCOMMIT_NODES
from overbook_sandbox.cluster.hollow_nodes import HollowNodes
from overbook_sandbox.cluster.hollow_status import HollowNode
from overbook_sandbox.cluster.overbook_in_cluster import overbook
from overbook_sandbox.demo import cluster_load as load
from overbook_sandbox.demo.cluster_events import (
    Sampler,
    Seen,
    SeenPod,
    events,
    held_bytes,
    how,
    left,
    node_signs,
    seen_pod,
)
from overbook_sandbox.demo.cluster_stage import NODE, PERCENT, Stage
from overbook_sandbox.demo.story import (
    PAID_POD,
    WILD_POD,
    AnyEvent,
    Bye,
    Gone,
    Hello,
    NodeSize,
    Phase,
    PhaseName,
    StepEvent,
)
from overbook_sandbox.kubevirt.documents import INSTANCES, MIGRATIONS, PODS
from overbook_sandbox.machine.errors import SandboxError
from overbook_sandbox.node.kubernetes_agent import SERVICE as AGENT

OTHER_NODE: Final = "worker-2"
PHASE_SECONDS: Final[dict[PhaseName, float]] = {"alone": 10.0, "steady": 15.0}
MOST_SECONDS: Final[dict[PhaseName, float]] = {"fill": 900.0, "wild": 300.0, "after": 300.0}
"""The time limits of phases that end by themselves, usually after a minute or two."""

_LOOK_SECONDS: Final = 0.5
_START_SECONDS: Final = 600.0
_STATUS_SECONDS: Final = 120.0
_LEAST_AFTER_SECONDS: Final = 12.0


class ClusterDemo:
    """The story on a cluster, from the first pod to the recovery.

    Args:
        stage: The running cluster.
        folder: The folder for `cluster-status-*` files.

    Attributes:
        events_queue: The events as they happen; the last one is Bye.
        statuses: The output of `overbook status` by moment: before, during, after.
    """

    def __init__(self, stage: Stage, folder: str) -> None:
        self.events_queue: queue.SimpleQueue[AnyEvent] = queue.SimpleQueue()
        self.statuses: dict[str, str] = {}
        self._stage = stage
        self._folder = folder
        self._started = time.monotonic()
        self._seen = Seen()
        self._sampler = Sampler()
        self._clock_offset: float | None = None
        self._sampled_at: float | None = None
        self._gone: set[str] = set()
        self._helpers: list[asyncio.Task[None]] = []
        self._client = Client(load_config(stage.cluster.kubeconfig), agent_name="overbook-demo")

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Run the story.

        Raises:
            SandboxError: A step did not happen in time; the text says which.
        """
        ready()
        self._helpers.append(asyncio.create_task(self._observe()))
        try:
            await self._run_story()
        finally:
            for task in self._helpers:
                task.cancel()
            await asyncio.gather(*self._helpers, return_exceptions=True)
            await self._client.close()

    async def _run_story(self) -> None:
        await self._until(self._agent_reports, _START_SECONDS, f"the agent of {NODE} reports")
        memory, swap = self._seen.status.memory, self._seen.status.swap
        size = NodeSize(memory_bytes=memory.total_bytes, swap_bytes=swap.total_bytes)
        self._started = time.monotonic()
        self._put(Hello(at=self._now, overbook=True, node=size, pods=load.announced(PERCENT)))
        await self._create(PAID_POD)
        await self._until(lambda: self._runs(PAID_POD), _START_SECONDS, f"{PAID_POD} runs")
        self._sampled_at = self._stage.node.samples[-1].at
        await self._phase("alone")
        self._put(Phase(at=self._now, name="fill"))
        for name in load.HOT_AND_COLD_MIB:
            if name != PAID_POD:
                await self._create(name)
        await self._until(lambda: self._filled, MOST_SECONDS["fill"], "every pod has its memory")
        neighbour = HollowNodes(self._stage.cluster.kubeconfig, [HollowNode(OTHER_NODE, memory="8Gi")])
        self._helpers.append(asyncio.create_task(neighbour.run()))
        self._put(
            StepEvent(
                at=self._now,
                sentence=f"{OTHER_NODE} joins the cluster (a hollow node, whose pods only report to run)",
            )
        )
        await self._phase("steady")
        await self._status("before")
        await self._trouble()
        await self._recovery()
        self._put(Bye(at=self._now))

    async def _trouble(self) -> None:
        self._put(Phase(at=self._now, name="wild"))
        uid = next(uid for uid, pod in self._seen.pods.items() if pod.guest == WILD_POD)
        await asyncio.to_thread(self._stage.node.signal, f"kubepods/burstable/pod{uid}", Signals.SIGUSR1)
        await self._until(
            lambda: self._relieved, MOST_SECONDS["wild"], f"the controller begins relief of {NODE}"
        )
        during = asyncio.create_task(self._status("during"))
        await self._until(lambda: self._seen.tainted, MOST_SECONDS["wild"], f"{NODE} is tainted")
        await self._client.create(PODS, load.late_pod(NODE), load.NAMESPACE)
        await self._until(lambda: WILD_POD in self._gone, MOST_SECONDS["wild"], f"{WILD_POD} has left")
        await during

    async def _recovery(self) -> None:
        self._put(Phase(at=self._now, name="after"))
        left = time.monotonic()
        await self._until(
            lambda: self._calm and time.monotonic() - left > _LEAST_AFTER_SECONDS,
            MOST_SECONDS["after"],
            f"{NODE} is calm: no taint, condition False, {load.LATE_POD} running",
        )
        await self._status("after")

    @property
    def _now(self) -> float:
        return time.monotonic() - self._started

    def _put(self, event: AnyEvent) -> None:
        self.events_queue.put(event)

    def _agent_reports(self) -> bool:
        return self._seen.status.observed_at is not None

    @property
    def _relieved(self) -> bool:
        """Whether the controller has begun relief."""
        return self._seen.status.relief is not None and self._seen.status.relief.stage is not None

    def _runs(self, guest: str) -> bool:
        return any(pod.guest == guest and pod.phase == "Running" for pod in self._seen.pods.values())

    @property
    def _filled(self) -> bool:
        if not self._stage.node.samples:
            return False
        held = {
            self._seen.pods[uid].guest: held_bytes(containers)
            for uid, containers in self._stage.node.samples[-1].pods.items()
            if uid in self._seen.pods
        }
        sizes = load.HOT_AND_COLD_MIB.items()
        return all(held.get(name, 0) >= sum(size) * 2**20 for name, size in sizes)

    @property
    def _calm(self) -> bool:
        cleared = self._seen.condition is not None and self._seen.condition[0] == "False"
        return cleared and not self._seen.tainted and self._runs(load.LATE_POD)

    async def _phase(self, name: PhaseName) -> None:
        self._put(Phase(at=self._now, name=name))
        await asyncio.sleep(PHASE_SECONDS[name])

    async def _create(self, name: str) -> None:
        manifest = load.manifest(name)
        kind = INSTANCES if manifest["kind"] == INSTANCES.kind else PODS
        await self._client.create(kind, manifest, load.NAMESPACE)

    async def _until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            for task in self._helpers:
                if task.done():
                    task.result()
            self._stage.controller.require_running()
            if (status := self._stage.node.service_status(AGENT)) is not None:
                tail = "".join(f"\n  {line}" for line in self._stage.node.log_tail(AGENT))
                raise SandboxError(f"the agent ended with status {status}; its last lines:{tail}")
            if time.monotonic() > deadline:
                raise SandboxError(f"waited {seconds:.0f} s, but this did not happen: {what}")
            await asyncio.sleep(_LOOK_SECONDS / 2)

    async def _observe(self) -> None:
        """Read the objects and the node's samples periodically."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._take_samples()
            try:
                seen = await self._read()
            except ApiUnavailable:  # the API server is busy: try again; each wait has its own time limit
                continue
            for event in events(self._seen, seen, self._now, NODE):
                if not isinstance(event, Gone):
                    self._put(event)
                elif event.pod not in self._gone:
                    self._gone.add(event.pod)
                    self._put(event)
            self._seen = seen

    async def _read(self) -> Seen:
        node, status = await asyncio.gather(self._client.get(NODES, NODE), self._node_status())
        pods = [pod async for pod in self._client.list(PODS, load.NAMESPACE)]
        migrations = [each async for each in self._client.list(MIGRATIONS, load.NAMESPACE)]
        tainted, condition = node_signs(node)
        return Seen(
            tainted=tainted,
            condition=condition,
            status=status,
            pods={pod.uid: seen_pod(pod) for pod in pods},
            migrations={each.metadata.name: each.phase for each in migrations},
        )

    async def _node_status(self) -> OvercommitNodeStatus:
        try:
            return (await self._client.get(OVERCOMMIT_NODES, NODE)).status
        except ApiError as error:
            if error.status != 404:
                raise
            return OvercommitNodeStatus()

    def _take_samples(self) -> None:
        """Add the node's new samples with their own times, because a thrashing node sends them late.

        Samples before the paid pod's work are not part of the story.
        """
        samples = self._stage.node.samples.copy()
        if self._sampled_at is None:
            return
        if self._clock_offset is None:
            self._clock_offset = self._now - samples[-1].at
        for found in samples:
            if found.at > self._sampled_at:
                at = max(0.0, found.at + self._clock_offset)
                here = self._here
                self._put(self._sampler.sample(found, at, here))
                for guest in left(found, here):
                    if guest.guest not in self._gone:
                        self._gone.add(guest.guest)
                        self._put(Gone(at=at, pod=guest.guest, how=how(guest, None, self._seen)))
        self._sampled_at = samples[-1].at

    @property
    def _here(self) -> dict[str, SeenPod]:
        """The demo's pods on the node."""
        known = load.HOT_AND_COLD_MIB
        return {uid: pod for uid, pod in self._seen.pods.items() if pod.node == NODE and pod.guest in known}

    async def _status(self, moment: str) -> None:
        await asyncio.to_thread(self._ask_status, moment)

    def _ask_status(self, moment: str) -> None:
        """Save the output of `overbook status`, as text and as JSON."""
        for form, suffix in ((), "txt"), (("--output", "json"), "json"):
            argv = overbook("status", "--kubeconfig", self._stage.viewer, *form)
            done = subprocess.run(argv, capture_output=True, check=False, text=True, timeout=_STATUS_SECONDS)  # noqa: S603 - no shell; a fixed argv
            if done.returncode not in (0, 1):
                raise SandboxError(f"overbook status failed: {done.stderr.strip()}")
            path = os.path.join(self._folder, f"cluster-status-{moment}.{suffix}")
            with open(path, "w", encoding="utf-8") as file:
                file.write(done.stdout)
            if not form:
                self.statuses[moment] = done.stdout
