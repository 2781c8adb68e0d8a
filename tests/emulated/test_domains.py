"""Memory is short below kubepods while a real node has some: the agent finds it there, and only there."""

import pathlib
from collections.abc import Iterator

import pytest

from overbook.agent.agent import Agent
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.detectors.low_memory import LowMemory
from overbook.core.pressure.detectors.memory_pressure import MemoryPressure
from overbook.core.pressure.ruleset import Group, Rule, Ruleset
from overbook.kernel.cgroup import Cgroup
from overbook.kernel.meminfo import read_meminfo
from overbook_sandbox.machine.pod_runner import make_cgroup
from tests.emulated.real_pods import MI, RealPods, each_second, wait_until

pytestmark = pytest.mark.node(memory="640Mi", swap="512Mi")

TOP = "kubepods.slice"
LIMIT = 256 * MI
RESERVE = LIMIT // 5
"""The share of the limit that offload keeps available by default."""
CACHE = 8 * MI
"""At most so much of the pods' memory can be dropped, and counts as available."""
HUGE_PAGES = pathlib.Path("/proc/sys/vm/nr_hugepages")
HUGE = 128
"""Huge pages of 2 MiB: 256 MiB of the node's RAM."""


@pytest.fixture
def pods(tmp_path: pathlib.Path) -> Iterator[RealPods]:
    made = RealPods(tmp_path)
    yield made
    made.remove()


@pytest.fixture
def kubepods() -> Iterator[Cgroup]:
    """All pods together are limited far below the node's memory."""
    make_cgroup(TOP)
    with Cgroup(TOP) as cgroup:
        cgroup.write_memory_max(LIMIT)
        yield cgroup
        cgroup.write_memory_swap_max(None)
        cgroup.write_memory_max(None)


@pytest.fixture
def huge_pages() -> Iterator[None]:
    HUGE_PAGES.write_text(str(HUGE))
    yield
    HUGE_PAGES.write_text("0")


def stalled_micros() -> int:
    lines = pathlib.Path("/proc/pressure/memory").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("full")).rpartition("total=")[2])


def killed(kubepods: Cgroup) -> int:
    return kubepods.read_memory_events().oom_kill or 0


def held(pods: RealPods, mib: int) -> int:
    """Start two VMs whose memory is touched once, and return what all pods hold together then."""
    for name in ("cold-a", "cold-b"):
        vm = pods.start(name, request="96Mi", hot=1, cold=mib)
        pods.go(name)
        wait_until(lambda vm=vm: vm.cgroup.read_memory_current() > mib * MI, 60)  # type: ignore[misc]
    return sum(pod.cgroup.read_memory_current() for pod in pods.running.values())


def node_has_memory() -> bool:
    node = read_meminfo()
    return (node.mem_available_bytes or 0) > node.mem_total_bytes * 0.2


def until_one_leaves(agent: Agent, seconds: float) -> list[Decision]:
    """Tick until the agent has ended a pod, and return its decisions."""
    decisions: list[Decision] = []
    for _ in each_second(seconds):
        assert node_has_memory()
        if (decision := agent.tick()) is not None:
            decisions.append(decision)
        if agent.journal.reports:
            break
    return decisions


def test_kubepods_keeps_a_reserve_and_is_relieved_at_its_limit(pods: RealPods, kubepods: Cgroup) -> None:
    agent = pods.agent()
    wild = pods.start("wild", request="24Mi", hot=4, cold=400)
    before = killed(kubepods)
    agent.tick()
    assert held(pods, 106) > LIMIT - RESERVE
    for _ in each_second(45):
        assert agent.tick() is None
        assert node_has_memory()  # only kubepods lacks its reserve
        if agent.engine.offload_steps:
            assert agent.engine.offload_situation.domain.path == TOP
        if kubepods.read_memory_current() <= LIMIT - RESERVE + CACHE:
            break
    assert kubepods.read_memory_current() <= LIMIT - RESERVE + CACHE
    assert (kubepods.read_memory_swap_current() or 0) > 8 * MI

    pods.go("wild")
    relieved = [each for each in until_one_leaves(agent, 40) if each.victim is not None]
    assert [each.victim.label for each in relieved if each.victim] == ["demo/wild"]
    assert relieved[0].findings[0].domain == TOP
    assert "kubepods has" in relieved[0].sentence or "kubepods is at its limit" in relieved[0].sentence
    assert "the node itself has" in relieved[0].sentence
    assert not wild.cgroup.populated()
    assert killed(kubepods) == before
    agent.stop()


def test_kubepods_without_swap_is_not_reclaimed_in_vain(pods: RealPods, kubepods: Cgroup) -> None:
    kubepods.write_memory_swap_max(0)
    agent = pods.agent()
    pods.start("wild", request="24Mi", hot=4, cold=400)
    before, swapped = killed(kubepods), kubepods.read_memory_swap_current() or 0  # ended pods have left some
    agent.tick()
    held(pods, 40)
    pods.go("wild")
    decisions: list[Decision] = []
    for _ in each_second(40):
        if (decision := agent.tick()) is not None:
            decisions.append(decision)
        assert agent.engine.offload_steps == ()
        if agent.journal.reports:
            break
    assert {each.action for each in decisions} <= {"wait", "relieve"}
    assert [each.victim.label for each in decisions if each.victim] == ["demo/wild"]
    assert agent.metrics.reclaimed_bytes == 0
    assert (kubepods.read_memory_swap_current() or 0) <= swapped
    assert killed(kubepods) == before
    agent.stop()


def test_huge_pages_are_no_part_of_the_share_that_is_available(pods: RealPods, huge_pages: None) -> None:
    assert huge_pages is None
    vm = pods.start("vm", request="96Mi", hot=90)
    vm.cgroup.write_memory_max(40 * MI)  # it stalls at its own limit; the node has memory
    node = read_meminfo()
    available = node.mem_available_bytes or 0
    total = node.mem_total_bytes
    whole, ordinary = (100 * available / size for size in (total, total - HUGE * 2 * MI))
    assert ordinary > whole * 1.4
    between = LowMemory(available_percent=(whole * 2 + ordinary) / 3)
    rule = Rule(any=(Group(all=(MemoryPressure(full_percent=5), between)),))
    agent = pods.agent(ruleset=Ruleset(rules=(rule,)))
    pods.go("vm")
    begun = stalled_micros()
    for _ in each_second(12):
        assert agent.tick() is None
    assert stalled_micros() - begun > 2_000_000
    newest = agent.engine.history.newest.node
    assert newest.hugetlb_bytes == HUGE * 2 * MI
    agent.stop()
