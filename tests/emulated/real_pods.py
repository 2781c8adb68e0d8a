"""Pods have real processes on the node, and an agent watches them."""

import contextlib
import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from overbook.agent.agent import Agent
from overbook.agent.settings import AgentSettings
from overbook.agent.source import ManifestDirectory
from overbook.core.kubernetes.pod import Pod, convert
from overbook.kernel.meminfo import read_meminfo
from overbook_sandbox.demo import load
from overbook_sandbox.machine.pod_runner import CGROUP_ROOT, RunningPod, pod_path, start, with_status
from tests.agent.fake_node import manifest

MI = 1 << 20
MANIFESTS = "pods"


class RealPods:
    """A set of pods is started and published below a folder.

    Args:
        folder: for manifests.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.manifests = folder / MANIFESTS
        self.manifests.mkdir()
        self.running: dict[str, RunningPod] = {}
        self.node_memory_bytes = read_meminfo().mem_total_bytes

    def start(
        self, name: str, *, hot: int = 1, cold: int = 0, stubborn: bool = False, **pod: Any
    ) -> RunningPod:
        """Start a pod whose process waits for :meth:`go`, then touches so many MiB.

        Args:
            name: the pod's name; the rest is as :func:`manifest`.
            hot: MiB touched over and over.
            cold: MiB touched once.
            stubborn: ignores SIGTERM.
        """
        made: Pod = convert(manifest(name, **pod), Pod, name)
        wait = 'while [ ! -e "$1" ]; do sleep 0.05; done; shift; exec "$@"'
        ignore = 'trap "" TERM; ' if stubborn else ""
        argv = ["/bin/sh", "-c", ignore + wait, "sh", str(self.folder / f"go-{name}")]
        argv += [sys.executable, "-I", "-S", load.__file__, str(hot), str(cold), ""]
        self.running[name] = start(made, argv, self.node_memory_bytes)
        path = self.manifests / f"{name}.json"
        path.with_suffix(".new").write_bytes(msgspec.json.encode(with_status(made)))
        path.with_suffix(".new").rename(path)
        return self.running[name]

    def go(self, *names: str) -> None:
        """Let the processes of pods begin."""
        for name in names:
            (self.folder / f"go-{name}").touch()

    def agent(self, **settings: Any) -> Agent:
        """Make an agent in this process."""
        chosen = AgentSettings(manifests=str(self.manifests), listen="", **settings)
        return Agent(chosen, ManifestDirectory(str(self.manifests)))

    def remove(self) -> None:
        """End all pods and remove their cgroups."""
        for pod in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                pod.process.send_signal(signal.SIGKILL)
            pod.process.wait()
        for pod in self.running.values():
            wait_until(lambda pod=pod: not pod.cgroup.populated())  # type: ignore[misc]
            scope = pod.cgroup.path
            pod.cgroup.close()
            for path in (scope, pod_path(pod.pod)):
                wait_until(lambda path=path: removed(os.path.join(CGROUP_ROOT, path)))  # type: ignore[misc]


def removed(directory: str) -> bool:
    """Return whether a cgroup is gone, or could be removed now."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


def each_second(seconds: float) -> Iterator[None]:
    """Yield once a second for so long."""
    due = time.monotonic()
    end = due + seconds
    while due < end:
        yield
        due += 1.0
        time.sleep(max(0.0, due - time.monotonic()))
