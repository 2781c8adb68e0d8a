"""The agent as a process of the demo, which reads pods from manifests; the demo reads its recording."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from overbook.core.kubernetes.pod import Pod
from overbook.core.pressure.decision import Decision
from overbook_sandbox.machine.pod_runner import make_cgroup, start_in

OOM_SCORE_ADJ: Final = -900
READY_SECONDS: Final = 60.0


class AgentProcess:
    """The process ``overbook agent`` in ``system.slice``.

    Args:
        folder: the folder for manifests, recording and log.
        percent: the cluster's overcommit percentage.
        arguments: further arguments, which win over these.
    """

    def __init__(self, folder: str, percent: int, arguments: Sequence[str] = ()) -> None:
        self._manifests = os.path.join(folder, "pods")
        self._recording = os.path.join(folder, "recording.jsonl")
        self._log = os.path.join(folder, "agent.log")
        self._percent = percent
        self._arguments = tuple(arguments)
        self._ready_by = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._positions = {self._recording: 0, self._log: 0}
        self._parts: dict[str, bytes] = {}
        self.asked: set[str] = set()
        """Pods for which relief was requested."""
        self.relieved: dict[str, str] = {}
        """The outcome of relief by pod."""
        os.makedirs(self._manifests)

    def start(self) -> None:
        """Start the agent, and wait until it has taken its first sample."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start the agent."""
        argv = [sys.executable, "-m", "overbook", "agent", "--manifests", self._manifests]
        argv += ["--percent", str(self._percent), "--record", self._recording, "--listen", "", "--grace", "3"]
        argv += self._arguments
        with open(self._log, "wb") as log:
            cgroup = make_cgroup("system.slice/overbook-agent.service")
            self._process = start_in(cgroup, argv, OOM_SCORE_ADJ, output=log.fileno())
        self._ready_by = time.monotonic() + READY_SECONDS

    def wait(self) -> None:
        """Wait until the launched agent has taken its first sample.

        Raises:
            RuntimeError: it has ended, or takes too long.
        """
        while not os.path.exists(self._recording) or not os.path.getsize(self._recording):
            if self._process is None or self._process.poll() is not None or time.monotonic() > self._ready_by:
                with open(self._log, encoding="utf-8", errors="replace") as log_file:
                    raise RuntimeError(f"the agent did not start: {log_file.read()[-2000:]}")
            time.sleep(0.1)

    def publish(self, pod: Pod) -> None:
        """Publish a pod's manifest for the agent."""
        self.publish_manifest(pod.metadata.name, msgspec.json.encode(pod))

    def publish_manifest(self, name: str, manifest: bytes) -> None:
        """Publish any manifest for the agent, as a file with this name."""
        path = os.path.join(self._manifests, f"{name}.json")
        with open(f"{path}.new", "wb") as file:
            file.write(manifest)
        os.rename(f"{path}.new", path)

    def new_events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The decisions and log lines since the last call."""
        for line in self._lines(self._recording):
            if line.startswith(b'{"sample"'):
                continue  # the most and the longest lines
            entry = msgspec.json.decode(line)
            if "decision" in entry:
                decision = entry["decision"]
                victim = decision["victim"] and decision["victim"]["label"]
                if victim:
                    self.asked.add(victim)
                yield (
                    "decision",
                    {
                        "action": decision["action"],
                        "sentence": sentence(decision),
                        "wallSeconds": decision["wallSeconds"],
                        "victim": victim,
                        "rule": decision["findings"][0]["rule"],
                    },
                )
            elif "relief" in entry:
                self.relieved[entry["relief"]["label"]] = entry["relief"]["outcome"]
        for line in self._lines(self._log):
            yield "log", {"text": line.decode("utf-8", "replace")}

    def stop(self) -> None:
        """End the agent with SIGTERM, as systemd would."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(10)

    def _lines(self, path: str) -> Iterator[bytes]:
        try:
            with open(path, "rb") as file:
                file.seek(self._positions[path])
                data = self._parts.pop(path, b"") + file.read()
                self._positions[path] = file.tell()
        except FileNotFoundError:
            return
        *lines, rest = data.split(b"\n")
        self._parts[path] = rest
        yield from (line for line in lines if line)


def sentence(decision: dict[str, Any]) -> str:
    """A recorded decision's sentence."""
    return msgspec.convert(decision, Decision).sentence
