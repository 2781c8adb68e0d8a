"""The real agent makes a recording on a fake node: a VM grows, and memory comes back from swap.

``python -m tests.cli.commands.replay.recorded FILE`` writes the recording that ``docs/replay.md`` shows.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import msgspec

from overbook.agent.agent import Agent
from overbook.agent.settings import AgentSettings
from overbook.agent.source import ManifestDirectory
from overbook_sandbox.fakes.kernel_files import (
    container_files,
    container_path,
    make_cgroup,
    make_node,
    remove_cgroup,
)

MI = 1 << 20
NODE_BYTES, SWAP_BYTES = 1024 * MI, 512 * MI
WILD, CALM = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self, start: float) -> None:
        self.now = start

    def __call__(self) -> float:
        return self.now


class RecordedNode:
    """A node of two VMs and its agent, with one tick a second."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.file = folder / "recording.jsonl"
        self._clock, self._wall = Clock(500.0), Clock(1_800_000_000.0)
        self._swapped_in = self._swapped_out = 0
        self._paths = {uid: container_path(uid, uid[0] * 64) for uid in (WILD, CALM)}
        self.now(available=600)
        manifests = folder / "manifests"
        manifests.mkdir()
        for uid, name in ((WILD, "wild"), (CALM, "calm")):
            (manifests / f"{name}.json").write_bytes(msgspec.json.encode(_pod(uid, name)))
            self.guest(uid, 200)
        settings = AgentSettings(
            fsroot=str(self.root), manifests=str(manifests), record=str(self.file), listen=""
        )
        self.agent = Agent(settings, ManifestDirectory(str(manifests)), self._clock, self._wall)

    def now(self, available: int, swap_free: int = 512, pages_per_second: int = 0) -> None:
        """Set the node's sizes in MiB and its swap traffic since the last call's second."""
        self._swapped_in += pages_per_second
        self._swapped_out += pages_per_second
        make_node(
            self.root,
            mem_total_bytes=NODE_BYTES,
            mem_available_bytes=available * MI,
            swap_total_bytes=SWAP_BYTES,
            swap_free_bytes=swap_free * MI,
            vmstat={"pswpin": self._swapped_in, "pswpout": self._swapped_out},
        )

    def guest(self, uid: str, held: int) -> None:
        """Set how many MiB a VM holds."""
        files = container_files(memory_current=held * MI, memory_swap_max=0)
        make_cgroup(self.root, self._paths[uid], files)

    def gone(self, uid: str) -> None:
        """End a VM."""
        remove_cgroup(self.root, self._paths[uid])

    def tick(self) -> None:
        """One second passes."""
        self.agent.tick()
        self._clock.now += 1
        self._wall.now += 1

    def busy_swap(self) -> Path:
        """Play 5 s of calm, then 1,500 pages/s both ways; the VM `wild` leaves when its relief is decided."""
        for _ in range(5):
            self.tick()
        for second in range(40):
            self.now(available=500, swap_free=300, pages_per_second=1500)
            if not self.agent.journal.decisions:
                self.guest(WILD, 300 + 5 * second)
            self.tick()
            if any(decision.action == "relieve" for decision in self.agent.journal.decisions):
                break
        self.gone(WILD)
        for _ in range(20):
            self.now(available=700, swap_free=400)
            self.tick()
        self.agent.stop()
        return self.file


def _pod(uid: str, name: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": uid},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"memory": "128Mi"}}}]},
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        shutil.copy(RecordedNode(Path(made)).busy_swap(), sys.argv[1])
