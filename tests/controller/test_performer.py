"""Evictions have connections and turns of their own: a webhook that holds them up delays nothing else."""

import asyncio

import pytest

from overbook.controller.journal import ReliefJournal
from overbook.controller.metrics import ControllerMetrics
from overbook.controller.performer import Performer
from overbook.controller.settings import ControllerSettings
from overbook.controller.situation import ClusterSituation
from overbook.core.relief.case import Evict, Look
from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.errors import NotSent
from overbook.kube.api.events import EventRecorder
from tests.kube.api.scripted_server import Served, answer, serving

POD = b'{"metadata":{"name":"b","namespace":"shop","uid":"u"},"spec":{"nodeName":"two"}}'


async def holding_evictions(
    served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer reads, and never an eviction, as an API server that waits for somebody's webhook."""
    while True:
        if "/eviction" in await served.asked(reader):
            await asyncio.Event().wait()
        writer.write(answer(POD))


def test_hanging_evictions_delay_no_step_of_another_node() -> None:
    async def story() -> None:
        async with serving(holding_evictions) as served:
            config = ClusterConfig(server=served.server)
            urgent = Client(config, timeout_seconds=5.0, turns=1)
            evictions = Client(config, timeout_seconds=0.5, turns=2)
            situation = ClusterSituation(urgent, ControllerSettings())
            performer = Performer(
                urgent,
                evictions,
                urgent,
                situation,
                leads=lambda: True,
                events=EventRecorder(urgent, component="test"),
                journal=ReliefJournal(),
                metrics=ControllerMetrics(),
            )
            evict = Evict(uid="u", label="shop/a")
            held = [asyncio.create_task(performer.perform(node, evict)) for node in ("one", "three")]
            await asyncio.sleep(0.1)
            async with asyncio.timeout(0.3):
                await performer.perform("two", Look(uid="u", label="shop/b"))
            assert situation.pods["two"]["u"]
            await asyncio.gather(*held)
            assert "did not answer" in situation.answers["one"].message
            # An eviction that was never sent has no answer: the step is tried again.
            evictions._transport._turns = asyncio.Semaphore(0)
            with pytest.raises(NotSent):
                await performer.perform("four", evict)
            assert "four" not in situation.answers
            await urgent.close()
            await evictions.close()

    asyncio.run(story())
