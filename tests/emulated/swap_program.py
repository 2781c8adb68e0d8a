"""The swap program with settings and a disk of its own, in the emulated node."""

import contextlib
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import msgspec

from overbook.kernel.swaps import read_swaps
from overbook.node.swap import STATE, SwapSettings, program_file, settings_file
from tests.emulated.modules import load_modules

MIB = 1 << 20
PAGE = 4096
DISK = pathlib.Path("/mnt/overbook-disk")  # files below /tmp are refused

HOLD = (
    "import sys; memory = bytearray(%d); memory[::4096] = b'x' * len(memory[::4096]); "
    "print('full', flush=True); sys.stdin.read()"
)


class SwapProgram:
    """Runs it.

    Args:
        folder: for the program and its settings.
        environment: of the program.
    """

    def __init__(self, folder: pathlib.Path, environment: Mapping[str, str] = os.environ) -> None:
        self.folder = DISK / "swap"
        self.settings = SwapSettings(folder=str(self.folder), disk_floor_percent=1, disk_floor_bytes=MIB)
        self.environment = dict(environment)
        self._program = folder / "overbook-swap"
        self._program.write_bytes(program_file())
        self._conf = folder / "swap.conf"

    def start(
        self, *command: str, environment: Mapping[str, str] | None = None, **settings: object
    ) -> "subprocess.Popen[str]":
        """Begin; settings stay as they were last given."""
        self.settings = msgspec.structs.replace(self.settings, **settings)
        self._conf.write_text(settings_file(self.settings))
        return subprocess.Popen(
            ["sh", str(self._program), *command],
            env={**self.environment, **(environment or {}), "OVERBOOK_CONF": str(self._conf)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *command: str, environment: Mapping[str, str] | None = None, **settings: object
    ) -> tuple[int, str]:
        """Exit status and all that it said."""
        process = self.start(*command, environment=environment, **settings)
        said, _ = process.communicate(timeout=150)
        return process.returncode, said

    def files(self) -> list[str]:
        """What lies in its folder."""
        return sorted(os.listdir(self.folder)) if self.folder.exists() else []


def mount_disk() -> None:
    """A file system on the node's disk."""
    DISK.mkdir(parents=True, exist_ok=True)
    load_modules(pathlib.Path("/run"))
    subprocess.run(["swapoff", "-a"], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", "/dev/vda"], check=True)
    subprocess.run(["mount", "-t", "ext4", "/dev/vda", str(DISK)], check=True)


def unmount_disk() -> None:
    """The node's disk is free again."""
    subprocess.run(["umount", str(DISK)], check=True)


def state() -> str:
    """What the program said last of the node."""
    return pathlib.Path("/", STATE).read_text()


def areas_bytes() -> list[int]:
    """Sizes of the swap areas that are on."""
    return [area.size_bytes for area in read_swaps()]


@contextlib.contextmanager
def memory_held(size_bytes: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has touched so much memory."""
    holder = subprocess.Popen(
        [sys.executable, "-S", "-c", HOLD % size_bytes], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            yield holder
        finally:
            holder.kill()


def push_out(wanted_bytes: int) -> None:
    """Squeeze the node until so much is swapped out."""
    swappiness = pathlib.Path("/proc/sys/vm/swappiness")
    swappiness.write_text("200")
    deadline = time.monotonic() + 60
    while sum(area.used_bytes for area in read_swaps()) < wanted_bytes:
        assert time.monotonic() < deadline, "nothing is swapped out"
        # Refused where less was found than asked for: what was found is out all the same.
        with contextlib.suppress(OSError):
            pathlib.Path("/sys/fs/cgroup/memory.reclaim").write_text(str(16 * MIB))
    swappiness.write_text("60")
