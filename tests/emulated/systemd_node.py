"""An emulated node boots with systemd as its first process, and with a disk that outlasts its boots.

What lies in the folders of `KEPT` is there again at the next boot, as on a node. Of the machine's own units
none runs: only those that a test installs, and what they need.
"""

import os
import pathlib
import shlex
import sys
from collections.abc import Mapping

from overbook_sandbox.machine.cache import cache_folder
from overbook_sandbox.machine.errors import NodeStoppedError
from overbook_sandbox.machine.image import prepare
from overbook_sandbox.machine.kernel_image import later_modules
from overbook_sandbox.machine.node import Machine
from overbook_sandbox.machine.spec import MEBIBYTE, MachineSpec
from overbook_sandbox.machine.systemd_boot import systemd_job
from tests.sandbox_parts import made

KEPT = (
    "etc/systemd/system",
    "etc/sysctl.d",
    "etc/overbook",
    "usr/local/libexec/overbook",
    "var/lib/overbook",
    "root/seen",
)
CUT = "cut the power now"
"""A script prints this where the node is to be killed."""

_PREPARE = f"""
for module in "$share"/modules/*; do busybox insmod "$module"; done
blkid /dev/vda >/dev/null || mkfs.ext4 -q -b 4096 /dev/vda
mkdir -p /disk && mount -t ext4 /dev/vda /disk
for folder in {" ".join(KEPT)}; do
    mkdir -p "/disk/$folder" "/$folder" && mount --bind "/disk/$folder" "/$folder"
done
"""


class SystemdNode:
    """A node is booted again and again.

    Args:
        folder: of the host, for its disk and for `share`, which it sees at the same path.
        disk_bytes: the disk's size.
        units: of systemd, by file name; all of them are started at boot.
    """

    def __init__(
        self, folder: pathlib.Path, disk_bytes: int = 128 * MEBIBYTE, units: Mapping[str, str] | None = None
    ) -> None:
        self._image = made(prepare)
        self.share = folder / "share"
        self._disk = folder / "disk"
        with open(self._disk, "wb") as disk:
            disk.truncate(disk_bytes)
        self._units = dict(units or {})
        (self.share / "modules").mkdir(parents=True)
        modules = later_modules(cache_folder(os.environ), os.environ, os.uname().release)
        for number, (name, content) in enumerate(modules.items()):
            (self.share / "modules" / f"{number:02}-{name}.ko").write_bytes(content)

    def boot(self, script: str, *, systemd: bool = True) -> list[str]:
        """Boot, run a shell script as root once the boot is over, and power off; its lines.

        The power goes where the script prints `CUT`. Without systemd the script is all that runs.
        """
        job = systemd_job(script, str(self.share), self._units, prepare=_PREPARE, systemd=systemd)
        spec = MachineSpec(
            memory_bytes=384 * MEBIBYTE, swap_on=False, kept_disk=str(self._disk), timeout_seconds=120
        )
        node = Machine(self._image, spec, job)
        lines: list[str] = []

        def take(line: str) -> None:
            lines.append(line)
            if line == CUT:
                node.stop()

        try:
            result = node.run(take)
        except NodeStoppedError:
            return lines
        assert result.exit_status == 0, "\n".join([*lines, *result.console_tail])
        return lines


def python_line(*argv: str) -> str:
    """Return a line of a script that runs a module with the Python of this test."""
    return shlex.join([sys.executable, "-m", *argv])
