"""The OCI hook compared with the documented one: bash, `jq` and an update by the runtime each time."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.figure import Benchmark, Figure, children_cpu_seconds, low
from overbook.agent.limits.allowance_file import PATH, AllowanceFile
from overbook.node.hook import configuration, program_file
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.node.node_programs import node_program

COMMAND = "python -m bench hook"
MOST_MILLIS = 5.0
CONTAINERS = 330
UID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
POD_SLICE = f"kubepods-burstable-pod{UID.replace('-', '_')}.slice"
CGROUP = f"/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}/crio-c.scope"
PROCESS = 4711
DOCUMENTED = """\
place=$(jq --raw-output .linux.cgroupsPath config.json)
namespace=$(jq --raw-output '.annotations["io.kubernetes.pod.namespace"]' config.json)
case $place in *burstable*)
    container=$(jq --raw-output '.linux.cgroupsPath / ":" | last' config.json)
    runc update --memory-swap -1 "$container" ;;
esac
"""
"""The steps of wasp-agent's hook. The container does not exist, so runc ends after searching for it."""

Run = tuple[float, float]
"""The wall-clock and CPU seconds of a run."""


class Ways:
    """A launcher's container on its own file system, and the hooks to run for it.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._state = msgspec.json.encode(_state())
        self._limit = self._folder / "cgroups" / CGROUP.lstrip("/") / "memory.swap.max"
        for path, content in (
            (self._limit, "max\n"),
            (self._folder / "proc" / str(PROCESS) / "cgroup", f"0::{CGROUP}\n"),
            (self._folder / "proc/self/cgroup", "0::/system.slice/crio.service\n"),
            (
                self._folder / "config.json",
                json.dumps(_state() | {"linux": {"cgroupsPath": "kubepods-burstable.slice:crio:c"}}),
            ),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        known = {(f"{UID[:-4]}{number:04}", "compute"): number << 20 for number in range(CONTAINERS - 1)}
        AllowanceFile(folder).keep({**known, (UID, "compute"): 120561664})
        self._program = self._folder / "hook"
        self._program.write_bytes(program_file())
        self._words = json.loads(configuration("Burstable"))["hook"]["args"][1:3]

    @property
    def state_bytes(self) -> int:
        return len(self._state)

    def hook(self) -> Run:
        """Run Overbook's hook as a runtime starts it."""
        self._limit.write_text("max\n")
        environment = {
            "OVERBOOK_ALLOWANCES": str(self._folder / PATH),
            "OVERBOOK_CGROUPS": str(self._folder / "cgroups"),
            "OVERBOOK_PROC": str(self._folder / "proc"),
        }
        taken = self._run(["/bin/sh", *self._words, str(self._program)], environment)
        assert self._limit.read_text() == "120561664\n"
        return taken

    def documented(self, environment: Mapping[str, str]) -> Run:
        """Run the documented hook.

        Args:
            environment: the environment, with the path to jq and runc.
        """
        return self._run(["bash", "-c", DOCUMENTED], environment)

    def shell(self) -> Run:
        """Run a shell that does nothing."""
        return self._run(["/bin/sh", "-c", ":"], {})

    def _run(self, argv: Sequence[str], environment: Mapping[str, str]) -> Run:
        wall, cpu = time.monotonic(), children_cpu_seconds()
        subprocess.run(  # noqa: S603 - ours
            argv, input=self._state, env=environment, cwd=self._folder, check=False, stderr=subprocess.DEVNULL
        )
        return time.monotonic() - wall, children_cpu_seconds() - cpu


def documented_environment() -> dict[str, str] | None:
    """The environment in which the documented hook finds its programs; ``None``: they are not installed."""
    environment = dict(os.environ)
    for name in ("jq", "runc"):
        with contextlib.suppress(SandboxUnavailableError):
            environment = node_program(name).environment(environment)
        if shutil.which(name, path=environment["PATH"]) is None:
            return None
    return environment


def run(quick: bool) -> Iterator[Figure]:
    times = 15 if quick else 61
    environment = documented_environment()
    with tempfile.TemporaryDirectory() as folder:
        ways = Ways(folder)
        ours, nothing, theirs = [], [], []
        for _ in range(times):  # in turn, so that other load affects all of them
            ours.append(ways.hook())
            nothing.append(ways.shell())
            if environment is not None:
                theirs.append(ways.documented(environment))
        size = f"a state of {ways.state_bytes / 1024:.0f} KiB, {CONTAINERS} allowances"
    yield _figure("the hook, one container", ours, size, MOST_MILLIS)
    if theirs:
        yield _figure(
            "the documented hook (bash, jq, runc update)", theirs, "runc finds no container to update"
        )
    yield _figure("a shell that does nothing, for comparison", nothing, "the least that any hook costs")


def _figure(name: str, runs: Sequence[Run], note: str, at_most: float | None = None) -> Figure:
    return Figure(
        name=name,
        value=round(low([cpu for _, cpu in runs]) * 1e3, 2),
        unit="ms",
        at_most=at_most,
        command=COMMAND,
        note=f"{low([wall for wall, _ in runs]) * 1e3:.2f} ms of wall clock; {note}",
    )


def _state() -> dict[str, Any]:
    """A state as large as a launcher's under CRI-O, which adds annotations with JSON."""
    volumes = [
        {"container_path": f"/path/{number}", "host_path": f"/var/lib/kubelet/{number}"}
        for number in range(12)
    ]
    annotations = {f"io.kubernetes.cri-o.Item{number}": json.dumps(volumes[:8]) for number in range(16)}
    annotations |= {f"example.com/note-{number}": "x" * 60 for number in range(40)}
    annotations |= {
        "io.kubernetes.container.name": "compute",
        "io.kubernetes.pod.namespace": "shop",
        "io.kubernetes.pod.uid": UID,
        "kubevirt.io/domain": "vm",
    }
    return {
        "ociVersion": "1.0.2",
        "id": "c",
        "status": "creating",
        "pid": PROCESS,
        "bundle": "/run/containers/storage/overlay-containers/c/userdata",
        "annotations": dict(sorted(annotations.items())),
    }


BENCHMARK = Benchmark("hook", "The OCI hook, compared with the documented one", run)
