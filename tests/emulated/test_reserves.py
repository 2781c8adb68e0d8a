"""The kernel enforces the limits: memory is really taken, and a pod beyond its class's limit ends."""

import contextlib
import pathlib
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.agent.agent import Agent
from overbook.agent.limits.reserve_writer import RECORD
from overbook.agent.settings import ReservesSettings
from overbook.core.kubernetes.reserve import HEADROOM_BYTES
from overbook.kernel.cgroup import Cgroup
from overbook_sandbox.machine.pod_runner import make_cgroup
from tests.emulated.real_pods import MI, RealPods, wait_until

pytestmark = pytest.mark.node(memory="512Mi", swap="512Mi")

TOP = "kubepods.slice"
BURSTABLE = f"{TOP}/kubepods-burstable.slice"
BEST_EFFORT = f"{TOP}/kubepods-besteffort.slice"
ALLOCATABLE = 256 * MI


@pytest.fixture
def classes() -> Iterator[dict[str, Cgroup]]:
    """The classes' cgroups lie below a limit as the kubelet writes it for all pods."""
    for path in (BURSTABLE, BEST_EFFORT):
        make_cgroup(path)
    with contextlib.ExitStack() as opened:
        found = {path: opened.enter_context(Cgroup(path)) for path in (TOP, BURSTABLE, BEST_EFFORT)}
        found[TOP].write_memory_max(ALLOCATABLE)
        yield found
        for cgroup in found.values():
            cgroup.write_memory_max(None)
    pathlib.Path("/", RECORD).unlink(missing_ok=True)


@pytest.fixture
def pods(tmp_path: pathlib.Path) -> Iterator[RealPods]:
    made = RealPods(tmp_path)
    yield made
    made.remove()


def agent_of(pods: RealPods, percent: int, **settings: Any) -> Agent:
    return pods.agent(reserves=ReservesSettings(qos_reserved_memory_percent=percent), **settings)


def limits(classes: dict[str, Cgroup]) -> list[int | None]:
    return [classes[path].read_memory_max() for path in (BURSTABLE, BEST_EFFORT)]


def oom_kills(classes: dict[str, Cgroup], path: str = BURSTABLE) -> int:
    """Count the processes of a class's pods that the kernel has killed since the boot."""
    return classes[path].read_memory_events().oom_kill or 0


@pytest.mark.parametrize(
    ("request_", "path", "best_effort_mib"), [("32Mi", BURSTABLE, 112), ("0", BEST_EFFORT, 144)]
)
def test_a_class_limit_ends_its_pod_and_spares_guaranteed_ones(
    pods: RealPods, classes: dict[str, Cgroup], request_: str, path: str, best_effort_mib: int
) -> None:
    paid = pods.start("paid", request="96Mi", limit="96Mi", cpu="1", hot=70)
    web = pods.start("web", request="16Mi", hot=10, virtual=False)
    wild = pods.start("wild", request=request_, hot=200, virtual=False)
    agent = agent_of(pods, 100, on_exit="Restore")
    ended_before = oom_kills(classes, path)
    agent.tick()
    assert limits(classes) == [160 * MI, best_effort_mib * MI]

    pods.go("web", "wild")
    wait_until(lambda: wild.process.poll() is not None, 120)
    assert oom_kills(classes, path) == ended_before + 1
    assert web.process.poll() is None
    pods.go("paid")
    wait_until(lambda: paid.cgroup.read_memory_current() > 70 * MI, 60)
    assert paid.process.poll() is None
    assert paid.cgroup.read_memory_events().oom_kill == 0

    agent.stop()
    assert limits(classes) == [None, None]
    assert not pathlib.Path("/", RECORD).exists()


def test_memory_in_use_is_kept_and_freed_memory_is_withheld(
    pods: RealPods, classes: dict[str, Cgroup]
) -> None:
    large = pods.start("large", request="16Mi", hot=100, virtual=False)
    small = pods.start("small", request="16Mi", hot=10, virtual=False)
    pods.go("large", "small")
    wait_until(lambda: large.cgroup.read_memory_current() > 100 * MI, 60)
    wait_until(lambda: small.cgroup.read_memory_current() > 10 * MI, 60)
    pods.start("paid", request="192Mi", limit="192Mi", cpu="1")
    agent = agent_of(pods, 100)
    agent.tick()
    held = limits(classes)[0]
    used = classes[BURSTABLE].read_memory_current()
    assert held is not None
    assert 110 * MI < held <= used + 2 * HEADROOM_BYTES
    assert large.process.poll() is None

    ended_before = oom_kills(classes)
    large.process.send_signal(signal.SIGUSR1)  # it takes more and more
    wait_until(lambda: large.process.poll() is not None, 120)
    assert oom_kills(classes) == ended_before + 1
    assert small.process.poll() is None
    agent.tick()
    assert limits(classes) == [64 * MI, 32 * MI]
    agent.stop()


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, [None, None]), (50, [208 * MI, 192 * MI]), (100, [160 * MI, 128 * MI])]
)
def test_the_documents_three_settings_are_written(
    pods: RealPods, classes: dict[str, Cgroup], percent: int, expected: list[int | None]
) -> None:
    pods.start("paid", request="96Mi", limit="96Mi", cpu="1")
    pods.start("web", request="32Mi", virtual=False)
    observing, acting = agent_of(pods, percent, mode="Observe"), agent_of(pods, percent)
    observing.tick()
    assert limits(classes) == [None, None]
    acting.tick()
    assert limits(classes) == expected
    assert classes[TOP].read_memory_max() == ALLOCATABLE
    for agent in (acting, observing):
        agent.stop()
    again = agent_of(pods, 0)  # limits that were left are put back where the setting is gone
    again.tick()
    assert limits(classes) == [None, None]
    again.stop()


def test_a_foreign_limit_is_restored_afterwards(pods: RealPods, classes: dict[str, Cgroup]) -> None:
    classes[BEST_EFFORT].write_memory_max(48 * MI)
    pods.start("paid", request="96Mi", limit="96Mi", cpu="1")
    agent = agent_of(pods, 50, on_exit="Restore")
    agent.tick()
    assert limits(classes) == [208 * MI, 208 * MI]
    agent.stop()
    assert limits(classes) == [None, 48 * MI]
