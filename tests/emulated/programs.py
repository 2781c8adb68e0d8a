"""Overbook's doctor and its observing agent run as programs on a node, and what they print is returned."""

import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from overbook.core.kubernetes.pod import Pod, convert
from overbook_sandbox.machine.pod_runner import CGROUP_ROOT, container_id, pod_path, with_status
from tests.agent.fake_node import manifest

OVERBOOK = (sys.executable, "-m", "overbook")
OBSERVING_SECONDS = 60.0
"""The longest time until an observing agent has said what it is waited for."""


class Report(NamedTuple):
    """A report of the doctor.

    Attributes:
        status: its exit status.
        findings: each finding by its word; of several with one word the last.
        fine: the sentence of each subject without a finding.
    """

    status: int
    findings: dict[str, dict[str, str]]
    fine: dict[str, str]

    def sentence(self, word: str) -> str:
        """Return a finding's sentence; it has to be there."""
        assert word in self.findings, (sorted(self.findings), self.fine)
        return self.findings[word]["sentence"]


def doctor(*words: str) -> Report:
    """Run `overbook node doctor` on this node."""
    argv = [*OVERBOOK, "node", "doctor", "--output", "json", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode in {0, 1}, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    by_word = {finding["word"]: finding for finding in found["findings"]}
    return Report(done.returncode, by_word, found["fine"])


class Observed(NamedTuple):
    """What an observing agent left behind.

    Attributes:
        said: its log.
        samples: the lines of its recording.
    """

    said: str
    samples: list[dict[str, Any]]


def observe(
    folder: pathlib.Path, manifests: pathlib.Path, enough: Callable[[Observed], bool], *words: str
) -> Observed:
    """Run `overbook agent` with manifests until it has said enough, by default in the mode Observe.

    Args:
        folder: an empty folder, for its log and recording.
        manifests: the folder of the pods' manifests.
        enough: whether what it left so far is enough.
        words: further options.
    """
    log, recording = folder / "agent.log", folder / "recording.jsonl"
    argv = [*OVERBOOK, "agent", "--mode", "Observe", "--manifests", str(manifests), "--listen", ""]
    argv += ["--record", str(recording), *words]
    with log.open("w") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output)  # noqa: S603 - ours
    try:
        deadline = time.monotonic() + OBSERVING_SECONDS
        while not enough(seen := _observed(log, recording)):
            assert process.poll() is None, seen.said
            assert time.monotonic() < deadline, seen.said
            time.sleep(0.2)
        return seen
    finally:
        process.terminate()
        process.wait(30)


def _observed(log: pathlib.Path, recording: pathlib.Path) -> Observed:
    lines = recording.read_bytes().splitlines(keepends=True) if recording.exists() else []
    return Observed(log.read_text(), [json.loads(line) for line in lines if line.endswith(b"\n")])


def plain_pod(folder: pathlib.Path, name: str) -> "tuple[pathlib.Path, subprocess.Popen[bytes]]":
    """Start a pod by the cgroup's name alone, with nothing written: for kernels that lack a controller.

    Args:
        folder: the folder of manifests.
        name: the pod's name.

    Returns:
        The container's cgroup, and its process.
    """
    made: Pod = convert(manifest(name), Pod, name)
    scope = f"{pod_path(made)}/cri-containerd-{container_id(made, made.containers[0])}.scope"
    cgroup = pathlib.Path(CGROUP_ROOT, scope)
    cgroup.mkdir(parents=True)
    process = subprocess.Popen(["/bin/sleep", "infinity"])
    (cgroup / "cgroup.procs").write_text(str(process.pid))
    (folder / f"{name}.json").write_bytes(msgspec.json.encode(with_status(made)))
    return cgroup, process
