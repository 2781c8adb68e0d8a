"""The agent on trees of nodes that were handed over beside the repository, each one case of its kind."""

import pathlib
import tarfile

import pytest

from overbook.agent.agent import Agent
from overbook.agent.settings import AgentSettings
from overbook.agent.source import ManifestDirectory
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.recording import Recording
from overbook.core.pressure.replay import Course, compare
from overbook.core.pressure.ruleset import DEFAULT_RULESET

HANDED_OVER = pathlib.Path(__file__).parents[3] / "shared" / "faults" / "inputs" / "node"


class Stage:
    """A tree that was handed over, with an agent on it whose clock the test moves.

    Args:
        folder: an empty directory.
        name: the tree's name.
        mode: the agent's mode.
    """

    def __init__(self, folder: pathlib.Path, name: str, mode: str = "Observe") -> None:
        archive = HANDED_OVER / f"agent-{name}.tgz"
        if not archive.exists():
            pytest.skip(f"{archive} is not beside the repository")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        self.root, pods = folder / name / "root", folder / name / "pods"
        self.now = 1000.0
        settings = AgentSettings(
            fsroot=str(self.root),
            manifests=str(pods),
            listen="",
            mode=mode,  # type: ignore[arg-type]  # one of two words
        )
        self.agent = Agent(settings, ManifestDirectory(str(pods)), self.clock, self.clock)

    def clock(self) -> float:
        return self.now

    def run(self, seconds: int, stall: float = 0.7, **counters: int) -> list[Decision]:
        """Let time pass with such a share of it stalled and so many events each second."""
        decisions = []
        for second in range(seconds):
            self.now += 1
            micros = int(second * stall * 1e6)
            (self.root / "proc/pressure/memory").write_text(
                "".join(
                    f"{kind} avg10=0.00 avg60=0.00 avg300=0.00 total={micros}\n" for kind in ("some", "full")
                )
            )
            file = self.root / "proc/vmstat"
            lines = dict(line.split() for line in file.read_text().splitlines())
            lines |= {name: str(count * second) for name, count in counters.items()}
            file.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
            decision = self.agent.tick()
            decisions += [decision] if decision else []
        return decisions


def victims(decisions: list[Decision]) -> list[str]:
    return [decision.victim.label for decision in decisions if decision.victim]


def test_kubepods_at_its_limit_leads_to_a_decision(tmp_path: pathlib.Path) -> None:
    decisions = Stage(tmp_path, "kubepods_max_binds").run(10, pswpin=900, pswpout=900)
    assert victims(decisions)[0] == "demo/vm-wild"
    assert "kubepods is at its limit of 13.4Gi; the node itself has 2.2Gi" in decisions[0].sentence


def test_huge_pages_are_no_lack_of_memory(tmp_path: pathlib.Path) -> None:
    assert Stage(tmp_path, "huge").run(20) == []


def test_swap_that_an_ancestor_forbids_is_not_reclaimed(tmp_path: pathlib.Path) -> None:
    decisions = Stage(tmp_path, "ancestor_zero").run(20)
    assert not any(decision.reclaim for decision in decisions)
    # Its allowance of 128 MiB cannot be had there, so it covers nothing of the 88 MiB above the request.
    assert set(victims(decisions)) == {"demo/vm-a"}
    assert "88 MiB over its request and 79 MiB beyond its covered memory" in decisions[0].sentence


@pytest.mark.parametrize(
    ("name", "place"), [("mismatch", "system.slice/kubepods-burstable-pod"), ("kata", "/kata_abab")]
)
def test_a_pod_elsewhere_is_named(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, name: str, place: str
) -> None:
    stage = Stage(tmp_path, name)
    stage.run(10, stall=0.0)
    assert stage.agent.values()["pods_misplaced"] == 1
    (said,) = [message for message in caplog.messages if "without a container cgroup" in message]
    assert place in said


def test_a_kernel_that_counts_no_swap_is_named(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(tmp_path, "swapacct_Enforce", "Enforce")
    stage.run(5, stall=0.0)
    assert any("swapaccount=1" in message for message in caplog.messages)
    assert stage.agent.values()["containers_without_swap_accounting"] == 1


def test_zswap_absorbs(tmp_path: pathlib.Path) -> None:
    decisions = Stage(tmp_path, "zswap_through_zswap").run(40, stall=0.5, zswpout=20_000, zswpin=200)
    assert victims(decisions) == []


def test_a_recording_from_before_limits_were_sampled_is_replayed(tmp_path: pathlib.Path) -> None:
    recording = HANDED_OVER / "kubepods-max-binds.jsonl"
    if not recording.exists():
        pytest.skip(f"{recording} is not beside the repository")
    # It holds no cgroup above the pods, so nothing in it says that a limit binds.
    with recording.open("rb") as lines:
        found = compare(Recording(lines, "old").ticks(), Course(DEFAULT_RULESET))
    assert (found.samples, found.right.decisions) == (60, 0)
    # The same node read again has them, and the decision follows.
    stage = Stage(tmp_path, "kubepods_max_binds")
    stage.run(10, pswpin=900, pswpout=900)
    assert stage.agent.engine.history.newest.limits
