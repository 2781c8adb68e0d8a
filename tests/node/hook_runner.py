"""The hook's program runs on a file system of its own, with any shell."""

import os
import pathlib
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from overbook.node.hook import GUARD, program_file

UID: Final = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
OTHER: Final = "9c858901-8a57-4791-81fe-4c455b099bc9"
PROCESS: Final = 4711
LIMIT: Final = 120561664
ALLOWANCES: Final = f"{OTHER}/compute 7\n{UID}/compute {LIMIT}\n{UID}/volume 0\nend\n"
POD_SLICE: Final = f"kubepods-burstable-pod{UID.replace('-', '_')}.slice"
SYSTEMD: Final = f"/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}/crio-c.scope"
CGROUPFS: Final = f"/kubepods/burstable/pod{UID}/crio-c"

SHELLS: Final = {
    name: argv
    for name, argv in {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"]}.items()
    if shutil.which(argv[0])
}


def state(annotations: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return the state as runc writes it, with annotations in order of their names."""
    own = {"io.kubernetes.pod.uid": UID, "io.kubernetes.container.name": "compute"}
    merged = {**(annotations or {}), **own}
    return {
        "ociVersion": "1.0.2-dev",
        "id": "c",
        "status": "creating",
        "pid": PROCESS,
        "bundle": "/run/bundle",
        "annotations": dict(sorted(merged.items())),
        **more,
    }


class HookWorld:
    """The hook runs on a file system with one container's process and its cgroup.

    Args:
        root: an empty folder.
        shell: the command that starts a shell.
        cgroup: the container's cgroup.
    """

    def __init__(self, root: pathlib.Path, shell: list[str], cgroup: str = SYSTEMD) -> None:
        self._root = root
        self._shell = shell
        self.cgroups = root / "cgroups"
        self.allowances = root / "allowances"
        self.program = root / "hook"
        self.program.write_bytes(program_file())
        self.place(PROCESS, cgroup)
        self.place("self", "/system.slice/crio.service")

    def place(self, process: int | str, cgroup: str) -> pathlib.Path:
        """Put a process into a cgroup and return its limit's file."""
        (self._root / "proc" / str(process)).mkdir(parents=True, exist_ok=True)
        (self._root / "proc" / str(process) / "cgroup").write_text(f"0::{cgroup}\n")
        return self.cgroup(cgroup)

    def cgroup(self, path: str) -> pathlib.Path:
        """Return the file of a cgroup's limit, made where it is missing."""
        limit = self.cgroups / path.lstrip("/") / "memory.swap.max"
        limit.parent.mkdir(parents=True, exist_ok=True)
        if not limit.exists():
            limit.write_text("max\n")
        return limit

    def run(self, given: bytes, allowances: str | bytes | None = ALLOWANCES) -> None:
        """Run the hook as its configuration does; it must succeed and print nothing."""
        if allowances is not None:
            self.allowances.write_bytes(allowances if isinstance(allowances, bytes) else allowances.encode())
        done = self.start(given)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def start(self, given: bytes) -> "subprocess.CompletedProcess[bytes]":
        """Start the hook as its configuration does."""
        return subprocess.run(
            [*self._shell, "-c", GUARD, str(self.program)],
            input=given,
            capture_output=True,
            check=False,
            timeout=60,
            env={
                "OVERBOOK_ALLOWANCES": str(self.allowances),
                "OVERBOOK_CGROUPS": str(self.cgroups),
                "OVERBOOK_PROC": str(self._root / "proc"),
                "PATH": os.environ["PATH"],
            },
        )

    def limits(self) -> dict[str, str]:
        """Return the limits that were written, by cgroup."""
        found = {
            "/" + str(path.parent.relative_to(self.cgroups)): path.read_text().strip()
            for path in self.cgroups.rglob("memory.swap.max")
        }
        return {path: limit for path, limit in found.items() if limit != "max"}


def encoded(given: Mapping[str, Any]) -> bytes:
    """Encode a state as one line, without a line end."""
    return msgspec.json.encode(given)
