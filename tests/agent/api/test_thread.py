import asyncio
import logging
import os
import time

import msgspec
import pytest

from overbook.agent.api.followed import TaintedNode
from overbook.agent.api.thread import STOP_SECONDS, ApiThread, Stopping
from overbook.agent.bridge import Bridge
from overbook.kube.api.backoff import Backoff
from tests.waiting import wait_for


class Work:
    """Work that fails a given number of times, then runs until it is stopped."""

    def __init__(self, bridge: Bridge, failures: int) -> None:
        self.bridge = bridge
        self.left = failures
        self.ended = False

    async def run(self, stopping: Stopping) -> None:
        if self.left:
            self.left -= 1
            raise RuntimeError("a defect")
        nudged = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.bridge.attach(lambda: loop.call_soon_threadsafe(nudged.set))
        while not stopping():
            await nudged.wait()
            nudged.clear()
        self.bridge.attach(None)
        self.ended = True


def test_api_thread_logs_a_failure_restarts_and_stops(caplog: pytest.LogCaptureFixture) -> None:
    bridge = Bridge()
    work = Work(bridge, failures=3)
    thread = ApiThread(bridge, work.run, Backoff(0.01, 0.02))
    assert not bridge.attended
    thread.start()
    wait_for(lambda: bridge.attended, "it works")
    assert bridge.restarts == 3
    failed = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.message for record in failed] == ["the thread for the API failed and is started again"] * 3
    started = time.monotonic()
    thread.stop()
    assert work.ended
    assert time.monotonic() - started < STOP_SECONDS
    bridge.close()


def test_news_wakes_the_tick_only_when_it_differs() -> None:
    bridge = Bridge()
    bridge.update_node_uid("a")
    bridge.clear()
    bridge.update_node_uid("a")
    with pytest.raises(BlockingIOError):
        os.eventfd_read(bridge.fileno())
    bridge.update_node_uid("b")
    assert os.eventfd_read(bridge.fileno()) == 1
    bridge.clear()  # twice is harmless
    bridge.close()


def test_a_nodes_kubelet_version_is_news_once() -> None:
    bridge = Bridge()
    said = msgspec.convert({"status": {"nodeInfo": {"kubeletVersion": "v1.37.1+rke2r1"}}}, TaintedNode)
    assert said.kubelet_minor == 37
    assert TaintedNode().kubelet_minor is None
    bridge.update_kubelet_minor(said.kubelet_minor)
    bridge.clear()
    bridge.update_kubelet_minor(said.kubelet_minor)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(bridge.fileno())
    assert bridge.news.kubelet_minor == 37
    bridge.close()


def test_a_loop_that_was_just_closed_is_no_trouble() -> None:
    bridge = Bridge()
    loop = asyncio.new_event_loop()
    bridge.attach(lambda: loop.call_soon_threadsafe(print))
    loop.close()
    bridge.nudge()
    bridge.close()
