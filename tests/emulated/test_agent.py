"""For each allowance and rule, the agent reports what the kernel counts, and the right pod is killed."""

import json
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from overbook.agent.agent import Agent
from overbook.agent.settings import load
from overbook.core.overcommit.allowance import SwapPolicy
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.detectors.low_memory import LowMemory
from overbook.core.pressure.detectors.memory_pressure import MemoryPressure
from overbook.core.pressure.ruleset import DOCUMENTED_RULESET, Group, Rule, Ruleset
from overbook_sandbox.machine.pod_runner import RunningPod
from tests.emulated.real_pods import MI, RealPods, each_second, wait_until
from tests.kernel.whole_cgroup import WholeCgroup

pytestmark = pytest.mark.node(memory="512Mi", swap="512Mi")


@pytest.fixture
def pods(tmp_path: pathlib.Path) -> Iterator[RealPods]:
    made = RealPods(tmp_path)
    yield made
    made.remove()


def vmstat(key: str) -> int:
    lines = pathlib.Path("/proc/vmstat").read_text().splitlines()
    return int(dict(line.split() for line in lines)[key])


def meminfo(key: str) -> int:
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1]) * 1024


def stalled_micros(kind: str) -> int:
    lines = pathlib.Path("/proc/pressure/memory").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(kind)).rpartition("total=")[2])


class Watched:
    """An agent's rates are checked against counters that are read before and after each of its ticks.

    Args:
        agent: what is ticked.
        read: the counters.
    """

    def __init__(self, agent: Agent, read: Callable[[], tuple[int, ...]]) -> None:
        self.agent = agent
        self.read = read
        self.rounds: list[tuple[float, tuple[int, ...], tuple[int, ...]]] = []

    def tick(self) -> Decision | None:
        before = self.read()
        decision = self.agent.tick()
        self.rounds.append((self.agent.engine.history.newest.at_seconds, before, self.read()))
        return decision

    def check(self, seconds: float, *per_second: float) -> None:
        """Assert that each rate is possible by the readings around its two samples."""
        now, *newest = self.rounds[-1]
        old_enough = (known for known in reversed(self.rounds) if now - known[0] >= seconds)
        at, *oldest = next(old_enough, self.rounds[0])
        elapsed = max(now - at, seconds)  # what was before the first sample counts as none
        for n, rate in enumerate(per_second):
            least = (newest[0][n] - oldest[1][n]) / elapsed
            most = (newest[1][n] - oldest[0][n]) / elapsed
            assert least * (1 - 1e-9) <= rate <= most * (1 + 1e-9)


def allowed(agent: Agent, name: str) -> int:
    """Return what the agent reports that a pod may swap."""
    return sum(
        decision.swap_max_bytes
        for (uid, _), decision in agent.known_pods.allowances.items()
        if agent.known_pods.facts[uid].label == f"demo/{name}"
    )


def documented(environment: dict[str, str]) -> Ruleset:
    """Return the documented rules with thresholds from variables; they evict at once, as documented."""
    ruleset = load(None, environment, {}).ruleset
    last = ruleset.rules[-len(DOCUMENTED_RULESET.rules) :]
    return msgspec.structs.replace(DOCUMENTED_RULESET, rules=last)


def full_of_swap(pod: RunningPod) -> bool:
    """Reclaim a little, and return whether the pod has all its swap, or the kernel has refused it more.

    A pod that has got exactly all is refused nothing: the kernel looks for no more of its memory.
    """
    pod.cgroup.reclaim(8 * MI)
    if pod.cgroup.read_memory_swap_current() == pod.cgroup.read_memory_swap_max():
        return True
    with WholeCgroup(pod.cgroup.path) as cgroup:
        return (cgroup.read_memory_swap_events().max or 0) > 0


@pytest.mark.parametrize("allowance", ["proportional", "whole", "pooled"])
def test_a_pod_never_swaps_more_than_its_allowance(pods: RealPods, allowance: Any) -> None:
    vm = pods.start("vm", request="48Mi", limit="112Mi", hot=90)
    paid = pods.start("paid", request="48Mi", limit="48Mi", hot=24, cpu="1")
    web = pods.start("web", request="48Mi", limit="112Mi", hot=24, virtual=False)
    agent = pods.agent(swap=SwapPolicy(allowance=allowance, pooled_share=0.1))
    agent.tick()
    ram, swap = meminfo("MemTotal"), meminfo("SwapTotal")
    expected = {
        "proportional": int(48 * MI / ram * swap),
        "whole": 64 * MI,
        "pooled": int(swap * 0.1),
    }[allowance]
    limit = vm.cgroup.read_memory_swap_max()
    assert limit == expected // 4096 * 4096
    assert limit == allowed(agent, "vm") // 4096 * 4096
    assert [pod.cgroup.read_memory_swap_max() for pod in (paid, web)] == [0, 0]

    pods.go("vm", "paid", "web")
    wait_until(lambda: vm.cgroup.read_memory_current() > 90 * MI, 60)
    vm.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: full_of_swap(vm), 60)
    assert limit * 0.9 < vm.cgroup.read_memory_swap_current() <= limit
    vm.process.send_signal(signal.SIGUSR1)  # it takes more and more
    vm.process.send_signal(signal.SIGCONT)
    for _ in range(60):
        assert vm.cgroup.read_memory_swap_current() <= limit
        if vm.process.poll() is not None:
            break  # the kernel ended it: neither RAM nor swap left for it
        time.sleep(0.05)
    vm.process.kill()

    for pod in (paid, web):
        wait_until(lambda pod=pod: pod.cgroup.read_memory_current() > 24 * MI, 60)  # type: ignore[misc]
        pod.cgroup.reclaim(16 * MI)
        assert pod.cgroup.read_memory_swap_current() == 0
    agent.stop()


def test_traffic_rule_counts_pages_and_ends_the_pod_that_swaps(pods: RealPods) -> None:
    busy = pods.start("busy", request="128Mi", hot=90)
    calm = pods.start("calm", request="128Mi", hot=30)
    for pod in (busy, calm):
        pod.cgroup.write_memory_max(48 * MI)
    environment = {
        "MAX_AVERAGE_SWAP_IN_PAGES_PER_SECOND": "100",
        "MAX_AVERAGE_SWAP_OUT_PAGES_PER_SECOND": "100",
        "AVERAGE_WINDOW_SIZE_SECONDS": "5",
    }
    ruleset = documented(environment)
    acting, observing = pods.agent(ruleset=ruleset), pods.agent(ruleset=ruleset, mode="Observe")
    pods.go("busy", "calm")
    watched = Watched(acting, lambda: (vmstat("pswpin"), vmstat("pswpout")))
    observed: Decision | None = None
    decision: Decision | None = None
    for _ in each_second(60):
        observed = observed or observing.tick()
        if observed is not None:
            assert busy.process.poll() is None  # observing ends nobody
        decision = watched.tick()
        if decision is not None:
            break
    assert decision is not None, watched.rounds
    assert decision.victim is not None
    assert decision.victim.label == "demo/busy"
    numbers = decision.findings[0].numbers
    pages = numbers["swapInPagesPerSecond"], numbers["swapOutPagesPerSecond"]
    assert min(pages) > 100
    watched.check(5, *pages)
    for _ in each_second(15):
        observed = observed or observing.tick()  # its clock may have been a moment behind
        acting.tick()
        if acting.journal.reports:
            break
    assert observed is not None
    assert observed.victim is not None
    assert observed.victim.label == "demo/busy"
    assert [report.outcome for report in acting.journal.reports] == ["ended"]
    assert not busy.cgroup.populated()
    assert calm.cgroup.populated()
    acting.stop()
    observing.stop()


def test_occupancy_rule_counts_what_the_kernel_counts(pods: RealPods) -> None:
    full = pods.start("full", request="300Mi", hot=480)
    small = pods.start("small", request="100Mi", hot=10)
    environment = {"SWAP_UTILIZATION_THRESHOLD_FACTOR": "0.02"}
    agent = pods.agent(ruleset=documented(environment))
    agent.tick()
    pods.go("full", "small")
    ram, swap = meminfo("MemTotal"), meminfo("SwapTotal")
    decision: Decision | None = None
    used = before = 0
    for _ in each_second(100):
        before = used
        used = ram - meminfo("MemAvailable") + swap - meminfo("SwapFree") - meminfo("SwapCached")
        decision = agent.tick()
        if decision is not None:
            break
    assert decision is not None, (used, before)
    numbers = decision.findings[0].numbers
    assert numbers["thresholdBytes"] == ram + int(swap * 0.02)
    # Memory moves while the two read it one after the other.
    assert numbers["usedBytes"] == pytest.approx(used, abs=48 * MI)
    assert before <= numbers["thresholdBytes"] + 48 * MI
    assert decision.victim is not None
    assert decision.victim.label == "demo/full"
    for _ in each_second(15):
        agent.tick()
        if agent.journal.reports:
            break
    assert agent.journal.reports[0].outcome == "ended"
    assert not full.cgroup.populated()
    assert small.cgroup.populated()
    agent.stop()


def test_pressure_reclaims_then_kills(
    pods: RealPods,
) -> None:
    # Promised 72 MiB, of which 56 in swap; it holds some 86 and works on all of it with 40 MiB of RAM.
    wild = pods.start("wild", request="16Mi", limit="72Mi", hot=80, stubborn=True)
    cold = pods.start("cold", request="200Mi", limit="300Mi", hot=2, cold=60)
    wild.cgroup.write_memory_max(40 * MI)
    # The node itself keeps its memory, for this program's sake: only the stalls are to decide.
    pressure = Rule(any=(Group(all=(MemoryPressure(full_percent=10), LowMemory(available_percent=100))),))
    agent = pods.agent(
        ruleset=Ruleset(rules=(pressure,)),
        swap=SwapPolicy(allowance="pooled"),
        grace_seconds=2.0,
    )
    watched = Watched(agent, lambda: (stalled_micros("full"),))
    watched.tick()
    pods.go("cold")
    wait_until(lambda: cold.cgroup.read_memory_current() > 60 * MI)
    pods.go("wild")
    decisions: list[Decision] = []
    for _ in each_second(150):
        decision = watched.tick()
        if decision is not None:
            numbers = decision.findings[0].numbers
            watched.check(2, numbers["fullPercent"] * 10_000)
            available = 100 * meminfo("MemAvailable") / meminfo("MemTotal")
            assert numbers["availablePercent"] == pytest.approx(available, abs=8)
            decisions.append(decision)
            if decision.victim is not None:
                break
    assert [decision.action for decision in decisions][-1:] == ["relieve"], decisions
    assert decisions[0].action == "reclaim"
    assert "demo/cold" in {step.label for step in decisions[0].reclaim}
    assert cold.cgroup.read_memory_swap_current() > 0
    assert agent.metrics.reclaimed_bytes > 0
    victim = decisions[-1].victim
    assert victim is not None
    assert victim.label == "demo/wild"
    for _ in each_second(20):
        agent.tick()
        if agent.journal.reports:
            break
    report = agent.journal.reports[0]
    assert report.outcome == "killed"
    assert report.seconds >= 2
    assert not wild.cgroup.populated()
    assert cold.cgroup.populated()
    agent.stop()


def samples(recording: pathlib.Path) -> list[float]:
    """Return the moments of the agent's samples, in monotonic seconds."""
    if not recording.exists():
        return []
    lines = [line for line in recording.read_text().splitlines() if line.startswith('{"sample"')]
    return [json.loads(line)["sample"][0] for line in lines]


def test_pressure_wakes_the_agent_and_sigterm_restores_limits(pods: RealPods) -> None:
    busy = pods.start("busy", request="128Mi", hot=90)
    busy.cgroup.write_memory_max(40 * MI)
    recording = pods.folder / "recording.jsonl"
    argv = [sys.executable, "-m", "overbook", "agent", "--manifests", str(pods.manifests), "--interval", "30"]
    argv += ["--listen", "", "--on-exit", "restore", "--record", str(recording)]
    agent = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own argv
    try:
        wait_until(lambda: len(samples(recording)) >= 1 or agent.poll() is not None, 120)
        assert agent.poll() is None, agent.communicate()
        wait_until(lambda: busy.cgroup.read_memory_swap_max() is not None)
        time.sleep(1.5)  # what its start stalled is over
        calm, looked = stalled_micros("some"), len(samples(recording))
        pods.go("busy")
        wait_until(lambda: stalled_micros("some") - calm > 20_000)
        begun = time.monotonic()
        wait_until(lambda: len(samples(recording)) > looked)
        assert samples(recording)[looked] - begun < 1.0
        agent.send_signal(signal.SIGTERM)
        _, said = agent.communicate(timeout=30)
    finally:
        agent.kill()
        agent.wait()
    assert agent.returncode == 0, said
    assert "memory locked" in said
    assert "SIGTERM: stopping" in said
    assert "1 swap limits put back as they were found" in said
    assert busy.cgroup.read_memory_swap_max() is None


@pytest.mark.node(memory="512Mi", swap="0", psi=False)
def test_agent_runs_and_reports_without_swap_and_psi(pods: RealPods) -> None:
    vm = pods.start("vm", request="64Mi", hot=16)
    argv = [sys.executable, "-m", "overbook", "agent", "--manifests", str(pods.manifests), "--listen", ""]
    agent = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own argv
    wait_until(lambda: vm.cgroup.read_memory_swap_max() == 0)
    agent.send_signal(signal.SIGTERM)
    _, said = agent.communicate(timeout=30)
    assert agent.returncode == 0, said
    assert "the agent ticks by the clock only, not when pressure starts: /proc/pressure/memory" in said
    assert "(the node has no swap)" in said
    assert "Traceback" not in said


@pytest.mark.node(memory="512Mi", swap="0", psi=False, cgroup="v1")
def test_agent_on_cgroup_version_1_prints_the_fix(tmp_path: pathlib.Path) -> None:
    argv = [sys.executable, "-m", "overbook", "agent", "--manifests", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - our own argv
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cgroup version 1" in done.stderr
    assert "systemd.unified_cgroup_hierarchy=1" in done.stderr
