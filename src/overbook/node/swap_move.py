"""Swap moves to another place or kind: the new one is on before the old one is switched off.

Two more settings files say how far a move got, so that it may be killed at any point: the settings that swap
moves to, while it is being made, and those that it has moved from, until the old swap is off.
"""

import os
import tempfile
from typing import Final

from overbook.node.files import install, remove
from overbook.node.host_program import run_on_host
from overbook.node.swap import (
    NEXT_SETTINGS,
    OLD_SETTINGS,
    SETTINGS,
    SwapSettings,
    program_file,
    read_settings_file,
    settings_file,
)

_MODE: Final = 0o644


def run_uninstalled(root: str, settings: SwapSettings, *command: str) -> tuple[int, list[str]]:
    """Run the swap program with these settings, without installing it. Returns exit status and lines.

    Raises:
        InvalidInput: the settings cannot work.
        OSError: a file cannot be written, or the program cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="overbook-", dir=os.path.join(root, "run")) as folder:
        below = "/" + os.path.relpath(folder, root)
        with open(os.path.join(folder, "swap"), "wb") as file:
            file.write(program_file())
        with open(os.path.join(folder, "conf"), "w", encoding="utf-8") as conf:
            conf.write(settings_file(settings))
        done = run_on_host(["sh", f"{below}/swap", *command], root, {"OVERBOOK_CONF": f"{below}/conf"})
    return (1 if done.returncode else 0), done.stdout.splitlines()


def areas_of(root: str, settings: SwapSettings) -> frozenset[str]:
    """The files and devices that the swap program takes for its own with these settings."""
    _, lines = run_uninstalled(root, settings, "status")
    return frozenset(line[len("area=") :].rsplit(" ", 3)[0] for line in lines if line.startswith("area="))


def moves(root: str, old: SwapSettings | None, new: SwapSettings) -> bool:
    """Whether there is swap of the old settings that the new settings would leave behind."""
    if old is None or "existing" in {old.kind, new.kind}:
        return False
    if (old.kind, old.folder, old.device, old.encrypt) == (new.kind, new.folder, new.device, new.encrypt):
        return False
    there = areas_of(root, old)
    return bool(there) and (not there <= areas_of(root, new) or _same_device(old, new))


def _same_device(old: SwapSettings, new: SwapSettings) -> bool:
    """Whether a device is to be encrypted, or not any more: it has to be switched off for that first."""
    return old.kind == new.kind == "device" and old.encrypt != new.encrypt


def move(root: str, program: str, old: SwapSettings, new: SwapSettings) -> bool:
    """Make the new swap, and keep the old one if that is refused.

    The settings in force are still the old ones afterwards: the caller installs the new ones, and then calls
    `leave_old`.

    Args:
        root: the host's file system.
        program: the swap program's path below the root.
        old: the settings in force.
        new: the settings to come.

    Raises:
        OSError: a file cannot be written.
    """
    install({NEXT_SETTINGS: (settings_file(new).encode(), _MODE)}, root)
    first = _same_device(old, new) and areas_of(root, old) <= areas_of(root, new)
    if first and _run(root, program, SETTINGS, "leave"):
        remove([NEXT_SETTINGS], root)
        return False
    if _run(root, program, NEXT_SETTINGS, "apply"):
        if first:  # the state says that the new swap was refused, and the old one is back
            _run(root, program, SETTINGS, "apply")
        else:
            _run(root, program, NEXT_SETTINGS, "leave")
        remove([NEXT_SETTINGS], root)
        return False
    if not first:
        install({OLD_SETTINGS: (settings_file(old).encode(), _MODE)}, root)
    return True


def leave_old(root: str, program: str, settings: SwapSettings) -> bool:
    """Switch off the swap of a move's other settings, also if an earlier move was killed.

    Args:
        root: the host's file system.
        program: the swap program's path below the root.
        settings: the settings in force, whose swap stays.

    Raises:
        OSError: a settings file cannot be read or deleted.
    """
    for path in (NEXT_SETTINGS, OLD_SETTINGS):
        left = read_settings_file(root, path)
        if left is None:
            continue
        apart = not areas_of(root, left) & areas_of(root, settings)
        if apart and _run(root, program, path, "leave"):
            return False
        remove([path], root)
    return True


def _run(root: str, program: str, conf: str, command: str) -> int:
    return run_on_host([f"/{program}", command], root, {"OVERBOOK_CONF": f"/{conf}"}, shown=True).returncode
