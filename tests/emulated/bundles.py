"""Real runtimes run containers whose process takes more memory than its limit at once."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any, Final

from overbook_sandbox.node.node_programs import node_program
from tests.emulated.real_pods import wait_until

MIB: Final = 1 << 20
LIMIT_BYTES: Final = 16 * MIB
TAKEN_BYTES: Final = 40 * MIB
CGROUPS: Final = pathlib.Path("/sys/fs/cgroup")
BUSYBOX: Final = "/run/overbook/busybox"
TAKE: Final = ["/bin/sh", "-c", f"(head -c {TAKEN_BYTES} /dev/zero; sleep 1000) | tail >/dev/null"]
"""`tail` keeps all it is given until it has seen the end."""


def put_programs_into_place(*names: str) -> None:
    """Make programs of :mod:`overbook_sandbox.node.node_programs` the node's own."""
    for name in names:
        node_program(name).put_into_place()


def root_file_system(folder: pathlib.Path) -> pathlib.Path:
    """Make a container's files: busybox."""
    (folder / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, folder / "bin/busybox")
    for name in ("head", "sh", "sleep", "tail"):
        (folder / "bin" / name).symlink_to("busybox")
    return folder


def hooks_for(configuration: bytes, annotations: Mapping[str, str]) -> dict[str, Any]:
    """Return the part of ``config.json`` that an engine makes of a hook's configuration."""
    wanted = json.loads(configuration)
    matches = all(
        any(re.search(key, name) and re.search(value, text) for name, text in annotations.items())
        for key, value in wanted["when"]["annotations"].items()
    )
    return {stage: [wanted["hook"]] for stage in wanted["stages"]} if matches else {}


class Bundle:
    """A bundle is a container of a runtime, without swap unless the hook gives it some.

    Args:
        folder: an empty folder.
        files: its root file system.
        runtime: crun or runc.
        cgroup: its cgroup, below the mount.
        annotations: as the engine hands them on.
        hooks: as :func:`hooks_for` makes them.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        files: pathlib.Path,
        runtime: str,
        cgroup: str,
        annotations: Mapping[str, str],
        hooks: Mapping[str, Any],
    ) -> None:
        self._folder = folder
        self._runtime = runtime
        self._name = folder.name
        self.cgroup = CGROUPS / cgroup.lstrip("/")
        configuration = {
            "ociVersion": "1.0.2",
            "process": {"user": {"uid": 0, "gid": 0}, "args": TAKE, "env": ["PATH=/bin"], "cwd": "/"},
            "root": {"path": str(files)},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            ],
            "annotations": dict(annotations),
            "hooks": dict(hooks),
            "linux": {
                "cgroupsPath": cgroup,
                "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
                "resources": {
                    "memory": {"limit": LIMIT_BYTES, "swap": LIMIT_BYTES},
                    "devices": [{"allow": True, "access": "rwm"}],
                },
            },
        }
        (folder / "config.json").write_text(json.dumps(configuration))

    def start(self) -> None:
        """Create and start the container."""
        log = self._folder / "log"
        with log.open("w") as file:  # a pipe would stay open in what runs on
            status = subprocess.run(  # noqa: S603 - ours
                [self._runtime, "run", "--detach", "--bundle", str(self._folder), self._name],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=120,
            ).returncode
        assert status == 0, log.read_text()

    def remove(self) -> None:
        """End the container and remove it."""
        subprocess.run([self._runtime, "delete", "--force", self._name], check=False)  # noqa: S603 - as above


def remove_with_parents(cgroup: str) -> None:
    """Remove a pod's cgroup and its empty parents: other tests look for kubepods, too."""
    path = CGROUPS / cgroup.lstrip("/")
    while path != CGROUPS:
        with contextlib.suppress(OSError):
            path.rmdir()
        path = path.parent


def swap_max(cgroup: pathlib.Path) -> str:
    """Read ``memory.swap.max`` as the kernel writes it."""
    return (cgroup / "memory.swap.max").read_text().strip()


def events(cgroup: pathlib.Path, name: str = "memory.events") -> dict[str, int]:
    """Read the memory events of a cgroup."""
    lines = (cgroup / name).read_text().splitlines()
    return {key: int(count) for key, count in (line.split() for line in lines)}


def wait_until_swapped(cgroup: pathlib.Path, least_bytes: int) -> None:
    """Wait until so much of a container is swapped out; no process of it may have been killed."""
    wait_until(lambda: _swapped(cgroup, least_bytes), 90.0)


def wait_until_killed(cgroup: pathlib.Path) -> None:
    """Wait until the kernel has killed a process of a container for want of memory."""
    wait_until(lambda: events(cgroup)["oom_kill"] > 0, 90.0)


def _swapped(cgroup: pathlib.Path, least_bytes: int) -> bool:
    assert events(cgroup)["oom_kill"] == 0
    return int((cgroup / "memory.swap.current").read_text()) >= least_bytes


def is_there(path: str) -> bool:
    """Return whether a file is there, even if it is a link that leads nowhere."""
    return os.path.lexists(path)
