"""The programs that the sandbox needs from the host, and their Debian packages."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from overbook_sandbox.machine.errors import SandboxUnavailableError

Say = Callable[[str], None]
Which = Callable[[str], str | None]
Run = Callable[[Sequence[str], str | None], "subprocess.CompletedProcess[str]"]

_DYNAMIC_LOADERS = (b"/ld-linux", b"/ld-musl")


class Tool(NamedTuple):
    """A program of the host that the sandbox needs.

    Attributes:
        command: The program's name on PATH.
        package: The Debian package of the program.
        purpose: The reason for installing it.
    """

    command: str
    package: str
    purpose: str


QEMU = Tool("qemu-system-x86_64", "qemu-system-x86", "emulates the node")
BUSYBOX = Tool("busybox", "busybox-static", "is the node's first program")


def run_command(argv: Sequence[str], folder: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end and capture its output as text; the caller checks for failure."""
    return subprocess.run(  # noqa: S603 - argv lists made in this package, never a shell line
        argv, cwd=folder, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def is_static(path: str) -> bool:
    """Whether a program is statically linked, as the first program of an initramfs must be."""
    with open(path, "rb") as file:
        head = file.read(4096)  # the ELF interpreter's name follows the program headers
    return head.startswith(b"\x7fELF") and not any(loader in head for loader in _DYNAMIC_LOADERS)


class Host:
    """The host, with the functions that the sandbox needs.

    Args:
        install: Whether missing packages may be installed.
        say: Receives one line for each step.
        which: Finds a program.
        run: Runs a program.
        platform: `sys.platform` and the machine's architecture.
        user_id: The effective user id; unless it is 0, commands that change the host use sudo.
    """

    def __init__(
        self,
        *,
        install: bool,
        say: Say,
        which: Which = shutil.which,
        run: Run = run_command,
        platform: tuple[str, str] = (sys.platform, os.uname().machine),
        user_id: int | None = None,
    ) -> None:
        self.say = say
        self.which = which
        self.run = run
        self._install = install
        self._platform = platform
        self._user_id = os.geteuid() if user_id is None else user_id

    def tools(self) -> tuple[str, str]:
        """Find QEMU and a static busybox, and install them if that is allowed.

        Returns:
            The paths of both.

        Raises:
            SandboxUnavailableError: A program is missing; the text has the command that installs it.
        """
        if self._platform != ("linux", "x86_64"):
            raise SandboxUnavailableError(
                f"the sandbox boots an x86_64 Linux node; this host is {' '.join(self._platform)}. "
                "Use a Linux machine or virtual machine on x86_64"
            )
        missing = self._missing()
        if missing:
            self._provide(missing)
            missing = self._missing()
        if missing:
            raise SandboxUnavailableError(f"still missing after installation: {_commands(missing)}")
        return self.which(QEMU.command) or "", self.which(BUSYBOX.command) or ""

    def refresh_package_lists(self) -> bool:
        """Fetch apt's package lists if that is allowed. Returns whether it was done."""
        if not self._install:
            return False
        self.say("fetching apt's package lists")
        return self.run(self._as_root("apt-get", "update", "-qq"), None).returncode == 0

    def _missing(self) -> list[Tool]:
        missing = [] if self.which(QEMU.command) else [QEMU]
        busybox = self.which(BUSYBOX.command)
        if busybox is None or not is_static(busybox):
            missing.append(BUSYBOX)
        return missing

    def _provide(self, missing: list[Tool]) -> None:
        packages = [tool.package for tool in missing]
        # --no-remove: busybox-static replaces the dynamic busybox, which only the user may decide.
        install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "--no-remove", *packages)
        if not self.which("apt-get"):
            raise SandboxUnavailableError(
                f"the sandbox needs {_commands(missing)} on PATH, and this host has no apt-get to install "
                f"it; install QEMU for x86_64 and a statically linked busybox yourself"
            )
        if not self._install:
            raise SandboxUnavailableError(
                f"the sandbox needs {_commands(missing)}; run `overbook sandbox prepare "
                f"--install-packages`, or `sudo apt-get install --no-install-recommends {' '.join(packages)}`"
            )
        reasons = ", ".join(f"{tool.package} ({tool.purpose})" for tool in missing)
        self.say(f"installing with apt-get: {reasons}")
        done = self.run(self._as_root(*install), None)
        if done.returncode and self.refresh_package_lists():
            done = self.run(self._as_root(*install), None)
        if done.returncode:
            raise SandboxUnavailableError(f"`{' '.join(install)}` failed:\n{done.stdout.strip()}")

    def _as_root(self, *argv: str) -> tuple[str, ...]:
        argv = ("env", "DEBIAN_FRONTEND=noninteractive", *argv)
        if self._user_id == 0:
            return argv
        if not self.which("sudo"):
            raise SandboxUnavailableError(f"there is no sudo; run as root: {' '.join(argv)}")
        return ("sudo", *argv)


def _commands(missing: list[Tool]) -> str:
    return " and ".join(
        f"{tool.command} (statically linked)" if tool is BUSYBOX else tool.command for tool in missing
    )
