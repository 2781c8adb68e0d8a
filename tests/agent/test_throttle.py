"""The throttle writes memory.high of pods, and leaves none behind."""

import os

import pytest

from overbook.agent.collector import Collector
from overbook.agent.throttle import PodThrottle
from overbook.core.overcommit.facts import PodFacts
from tests.agent.fake_node import MI, FakeNode, uid_of


class Throttled:
    """A pod on a fake node, and the throttle."""

    def __init__(self, node: FakeNode, high: str = "max") -> None:
        self.uid = uid_of("vm")
        self.node = node
        path = node.run("vm")
        self.file = node.root / "sys/fs/cgroup" / os.path.dirname(path) / "memory.high"
        self.file.write_text(f"{high}\n")
        self.collector = Collector(str(node.root))
        self.collector.collect(0, 0, {})
        self.throttle = PodThrottle(self.collector, str(node.root))
        self.facts = {
            self.uid: PodFacts(self.uid, "demo/vm", "Burstable", critical=True, virtual_machine=True)
        }

    def keep(self, limit: int | None) -> str:
        self.throttle.keep({} if limit is None else {self.uid: limit}, self.facts)
        return self.file.read_text().strip()


def test_the_limit_is_written_changed_and_removed(node: FakeNode) -> None:
    throttled = Throttled(node)
    assert throttled.keep(100 * MI) == str(100 * MI)
    assert throttled.keep(90 * MI) == str(90 * MI)
    assert throttled.keep(None) == "max"


def test_a_limit_is_written_once(node: FakeNode) -> None:
    throttled = Throttled(node)
    throttled.keep(100 * MI)
    throttled.file.write_text("7\n")
    assert throttled.keep(100 * MI) == "7"


def test_a_stop_leaves_no_limit_behind(node: FakeNode) -> None:
    throttled = Throttled(node)
    throttled.keep(100 * MI)
    throttled.throttle.release()
    assert throttled.file.read_text() == "max\n"


def test_a_killed_agents_limit_is_removed(node: FakeNode) -> None:
    assert Throttled(node, high=str(50 * MI)).keep(None) == "max"


def test_a_pod_that_is_gone_is_no_error(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    throttled = Throttled(node)
    throttled.keep(100 * MI)
    throttled.file.unlink()
    throttled.throttle.release()
    assert not caplog.records
