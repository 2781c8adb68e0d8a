"""A real systemd in the emulated node: process 1 of a PID namespace, on the node's own cgroups and files."""

import contextlib
import os
import pathlib
import subprocess
import time
from collections.abc import Iterator

UNITS = pathlib.Path("/etc/systemd/system")
CGROUPS = pathlib.Path("/sys/fs/cgroup")
TARGET = "overbook-test.target"
NOT_HERE = (
    "dbus",
    "getty@tty1",
    "systemd-binfmt",
    "systemd-journal-flush",
    "systemd-journald",
    "systemd-logind",
    "systemd-modules-load",
    "systemd-pstore",
    "systemd-random-seed",
    "systemd-remount-fs",
    "systemd-timesyncd",
    "systemd-tmpfiles-setup",
    "systemd-tmpfiles-setup-dev",
    "systemd-udev-trigger",
    "systemd-udevd",
    "systemd-update-utmp",
)
"""Services that the tests do not need and that take long here."""
BOOT_SECONDS = 120


class Systemd:
    """One run of it: a boot of the node's user space.

    Args:
        process: what holds the namespace; it ends with systemd.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def ctl(self, *words: str) -> str:
        """What `systemctl` says, which has to succeed."""
        done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"systemctl {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def state(self, unit: str) -> str:
        """Its ActiveState."""
        return self.ctl("show", "--property=ActiveState", "--value", unit)

    def wait_until_booted(self) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            asked = subprocess.run(
                ["systemctl", "is-system-running"], capture_output=True, text=True, check=False
            )
            if asked.stdout.strip() in {"running", "degraded"}:
                return
            assert self._process.poll() is None, "systemd ended"
            assert time.monotonic() < deadline, f"systemd is {asked.stdout.strip()} {asked.stderr.strip()}"
            time.sleep(0.3)


@contextlib.contextmanager
def running_systemd() -> Iterator[Systemd]:
    """Boot it, and take it away: its processes, its cgroups, its runtime files.

    The node's files stay as the tests leave them, as over a boot.
    """
    UNITS.mkdir(parents=True, exist_ok=True)
    (UNITS / TARGET).write_text("[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n")
    for link, target in (
        ("default.target", TARGET),
        *((f"{name}.service", "/dev/null") for name in NOT_HERE),
    ):
        (UNITS / link).unlink(missing_ok=True)
        (UNITS / link).symlink_to(target)
    controllers = (CGROUPS / "cgroup.subtree_control").read_text()
    process = subprocess.Popen(
        [
            "/usr/bin/unshare",
            "--pid",
            "--fork",
            "--mount",
            "--mount-proc",
            "--kill-child",
            "/lib/systemd/systemd",
        ],
        env={**os.environ, "container": "other"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        booted = Systemd(process)
        booted.wait_until_booted()
        yield booted
    finally:
        process.kill()  # and with it the namespace: every process in it
        process.wait()
        for leftover in ("systemd/system", "systemd/private"):
            path = pathlib.Path("/run", leftover)
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        (CGROUPS / "cgroup.subtree_control").write_text(
            " ".join(f"+{controller}" for controller in controllers.split())
        )


def remove_cgroup(cgroup: pathlib.Path) -> None:
    """Remove it and those below, once their processes are gone."""
    deadline = time.monotonic() + 30
    for folder in [*sorted(cgroup.rglob("*/"), reverse=True), cgroup]:
        while folder.is_dir():
            with contextlib.suppress(OSError):
                folder.rmdir()
            assert time.monotonic() < deadline, f"{folder} stays busy"
            time.sleep(0.02)
