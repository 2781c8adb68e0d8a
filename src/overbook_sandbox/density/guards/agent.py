"""Overbook's agent as the guard: as it is shipped, and with the documented rules and wasp-agent's order."""

import json
import os
import socket
import time
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from overbook.core.pressure.ruleset import DOCUMENTED_RULESET
from overbook_sandbox.demo.agent_process import AgentProcess
from overbook_sandbox.density.guards.guard import Guard, GuardDecision, GuardNode, StartedPod
from overbook_sandbox.density.node.pods import namespaces

_LISTEN: Final = ("127.0.0.1", 9713)
_ADDRESS: Final = f"{_LISTEN[0]}:{_LISTEN[1]}"
_FIGURES: Final = {
    "overbook_ticks_total": "ticks",
    "overbook_tick_seconds_total": "tick_seconds",
    "overbook_reclaim_asked_bytes_total": "reclaim_asked_bytes",
    "overbook_reclaim_cpu_seconds_total": "reclaim_cpu_seconds",
    "overbook_offloaded_bytes": "offloaded_bytes",
}


class Overbook(Guard):
    """The agent with its default settings and the cluster's percentage."""

    name = "overbook"
    title = "Overbook"
    cgroup = "system.slice/overbook-agent.service"
    decides = True
    settings: ClassVar[dict[str, Any]] = {}
    """What its configuration file holds."""

    def prepare(self, node: GuardNode) -> None:
        """Start the agent."""
        self._recording = os.path.join(node.folder, "recording.jsonl")
        path = os.path.join(node.folder, "agent.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"swap": {"allowance": node.load.allowance}, **self.settings}, file)
        self._agent = AgentProcess(node.folder, node.load.percent, ("--config", path, "--listen", _ADDRESS))
        for manifest in namespaces():
            self._agent.publish_manifest(manifest["metadata"]["name"], msgspec.json.encode(manifest))
        self._agent.launch()

    def wait(self) -> None:
        """Wait for the agent's first sample."""
        self._agent.wait()

    def pod_started(self, pod: StartedPod) -> None:
        """Publish the pod's manifest."""
        self._agent.publish(pod.pod)

    def decisions(self) -> Sequence[GuardDecision]:
        """The agent's decisions that a pod has to leave, from its recording."""
        wall_to_monotonic = time.monotonic() - time.time()
        found = []
        for event, facts in self._agent.new_events():
            if event == "decision" and facts["victim"]:
                at = facts["wallSeconds"] + wall_to_monotonic
                found.append(GuardDecision(facts["victim"].partition("/")[2], at, facts["sentence"]))
        return found

    def stop(self) -> dict[str, float]:
        """End the agent, and return what it counted."""
        figures = _figures()
        self._agent.stop()
        return figures

    def recording(self) -> str:
        """The agent's recording, which ``overbook replay`` reads."""
        return self._recording


class Original(Overbook):
    """The same agent with the two rules of Red Hat's document, wasp-agent's order, and no reclaim."""

    name = "original"
    title = "documented rules, original order"
    settings: ClassVar[dict[str, Any]] = {
        "ruleset": msgspec.to_builtins(DOCUMENTED_RULESET),
        "reclaim": {"enabled": False},
        "offload": {"mode": "Off"},
        "swap": {"allowance": "proportional"},
    }


def _figures() -> dict[str, float]:
    """Figures from the agent's metrics; none if it does not answer."""
    answer = b""
    try:
        with socket.create_connection(_LISTEN, timeout=5) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\nHost: agent\r\n\r\n")
            while part := connection.recv(1 << 16):
                answer += part
    except OSError:
        return {}
    figures = {}
    for line in answer.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(" ")
        if name in _FIGURES:
            figures[_FIGURES[name]] = float(value)
    return figures
