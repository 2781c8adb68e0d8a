"""The swap program runs in the emulated node with settings and a disk of its own."""

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
    """The swap program of the node, with settings of a test.

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
        """Start the program; settings stay as they were last given."""
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
        """Run the program and return its exit status and its output."""
        process = self.start(*command, environment=environment, **settings)
        said, _ = process.communicate(timeout=150)
        return process.returncode, said

    def files(self) -> list[str]:
        """Return the files in the program's folder."""
        return sorted(os.listdir(self.folder)) if self.folder.exists() else []


def mount_disk() -> None:
    """Mount a file system on the node's disk."""
    DISK.mkdir(parents=True, exist_ok=True)
    load_modules(pathlib.Path("/run"))
    subprocess.run(["swapoff", "-a"], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", "/dev/vda"], check=True)
    subprocess.run(["mount", "-t", "ext4", "/dev/vda", str(DISK)], check=True)


def unmount_disk() -> None:
    """Unmount the node's disk."""
    subprocess.run(["umount", str(DISK)], check=True)


def state() -> str:
    """Read the state that the program last wrote about the node."""
    return pathlib.Path("/", STATE).read_text()


def areas_bytes() -> list[int]:
    """Return the sizes of the swap areas that are on."""
    return [area.size_bytes for area in read_swaps()]


@contextlib.contextmanager
def memory_held(size_bytes: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a process that has touched so much memory."""
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
    """Put the node under pressure until so much is swapped out."""
    swappiness = pathlib.Path("/proc/sys/vm/swappiness")
    swappiness.write_text("200")
    deadline = time.monotonic() + 60
    while sum(area.used_bytes for area in read_swaps()) < wanted_bytes:
        assert time.monotonic() < deadline, "nothing is swapped out"
        # Refused where less was found than asked for: what was found is out all the same.
        with contextlib.suppress(OSError):
            pathlib.Path("/sys/fs/cgroup/memory.reclaim").write_text(str(16 * MIB))
    swappiness.write_text("60")
