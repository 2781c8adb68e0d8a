import contextlib
import signal
import subprocess
from collections.abc import Iterator

import pytest

from overbook.agent.collector import Collector
from overbook.agent.relief.local import KILL_SECONDS, LocalRelief
from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.decision import Decision
from overbook_sandbox.fakes.kernel_files import container_files, make_cgroup, pod_path
from tests.agent.fake_node import FakeNode, uid_of

VICTIM = Candidate(uid_of("vm"), "demo/vm", 1, 1, 1, 0)
DECISION = Decision(1, 0.0, (), "relieve", "", victim=VICTIM)


class Guest:
    """A pod of files with one real process in it."""

    def __init__(self, node: FakeNode, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.path = pod_path(uid_of("vm"), "Burstable")
        self.node = node
        make_cgroup(node.root, self.path, container_files(pids=[process.pid]))
        node.start("vm")
        collector = Collector(str(node.root))
        collector.collect(0.0, 0.0, {})
        self.relief = LocalRelief(collector, str(node.root))

    def leave(self) -> None:
        self.node.file(self.path, "cgroup.events").write_text("populated 0\nfrozen 0\n")

    def killed(self) -> bool:
        return self.node.file(self.path, "cgroup.kill").read_text() == "1\n"


def state_of(relief: LocalRelief) -> str:
    return relief.state


@pytest.fixture
def guest(node: FakeNode) -> Iterator[Guest]:
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(["/bin/sleep", "1000"]))
        stack.callback(process.kill)
        yield Guest(node, process)


def test_a_pod_that_ends_on_sigterm_gets_no_sigkill(guest: Guest) -> None:
    guest.relief.begin(DECISION, 10.0, 100.0)
    assert guest.process.wait(10) == -signal.SIGTERM
    assert state_of(guest.relief) == "active"
    assert guest.relief.tick(101.0) is None
    guest.leave()
    report = guest.relief.tick(103.0)
    assert report is not None
    assert (report.label, report.outcome, report.seconds) == ("demo/vm", "ended", 3.0)
    assert state_of(guest.relief) == "idle"
    assert not guest.killed()


def test_a_pod_is_killed_after_its_grace_and_not_before(guest: Guest) -> None:
    guest.relief.begin(DECISION, 5.0, 100.0)
    guest.relief.tick(104.9)
    assert not guest.killed()
    assert guest.relief.tick(105.0) is None
    assert guest.killed()
    guest.leave()
    report = guest.relief.tick(106.0)
    assert report is not None
    assert report.outcome == "killed"


def test_a_pod_that_survives_sigkill_is_given_up(guest: Guest) -> None:
    guest.relief.begin(DECISION, 0.0, 100.0)
    guest.relief.tick(100.0)
    assert guest.killed()
    assert guest.relief.tick(100.0 + KILL_SECONDS - 1) is None
    report = guest.relief.tick(100.0 + KILL_SECONDS)
    assert report is not None
    assert report.outcome == "failed"
    assert state_of(guest.relief) == "idle"


def test_a_pod_already_gone_is_reported_as_gone(node: FakeNode) -> None:
    relief = LocalRelief(Collector(str(node.root)), str(node.root))
    relief.begin(DECISION, 10.0, 100.0)
    assert state_of(relief) == "active"  # until it was reported
    report = relief.tick(100.0)
    assert report is not None
    assert report.outcome == "gone"
    assert state_of(relief) == "idle"


def test_the_grace_is_the_pods_own_up_to_the_agents_most(node: FakeNode) -> None:
    node.set(mem_available_bytes=0, swap_free_bytes=0)
    for own, most, expected in ((2, 10.0, 2.0), (60, 10.0, 10.0)):
        node.describe("vm")
        path = node.manifests / "vm.json"
        path.write_text(
            path.read_text().replace('"spec": {', f'"spec": {{"terminationGracePeriodSeconds": {own}, ')
        )
        make_cgroup(node.root, pod_path(uid_of("vm"), "Burstable"), container_files())
        node.file(pod_path(uid_of("vm"), "Burstable"), "cgroup.events").write_text("populated 1\nfrozen 0\n")
        node.run("vm", memory_current=500 << 20)
        agent = node.agent(grace_seconds=most)
        decision = node.tick(agent)
        assert decision is not None
        assert decision.victim is not None
        kill = node.file(pod_path(uid_of("vm"), "Burstable"), "cgroup.kill")
        node.tick(agent, expected - 0.1)
        assert kill.read_text() == ""
        node.tick(agent, 0.2)
        assert kill.read_text() == "1\n"
        agent.stop()
