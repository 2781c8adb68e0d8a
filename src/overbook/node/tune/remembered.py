"""The old values of changed settings, in a file that survives boots and upgrades.

The file is written before the first change, completely or not at all. An old value is never overwritten; only
the values that Overbook sets are added.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.node.files import write_whole
from overbook.node.tune.rules import Remembered, WantedSetting

BEFORE: Final = "var/lib/overbook/before.json"
MODE: Final = 0o600
MOST_BYTES: Final = 1 << 20


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    settings: dict[str, Remembered]


def read_remembered(root: str = "/") -> dict[str, Remembered]:
    """The remembered settings by name; empty if nothing was changed.

    Raises:
        InvalidInput: the file is not one of Overbook's, or is incomplete.
        OSError: the file cannot be read.
    """
    path = os.path.join(root, BEFORE)
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    try:
        return msgspec.json.decode(data, type=_File).settings
    except msgspec.DecodeError as error:
        found = f"{len(data)} bytes ({error})"
        expected = "the file as `overbook node tune` wrote it; without the old values nothing is changed"
        raise InvalidInput(path, found, expected) from error


def remember(wanted: tuple[WantedSetting, ...], root: str = "/") -> dict[str, Remembered]:
    """Store the old values of the settings that will change; they are on the disk when this returns.

    Returns:
        All remembered settings.

    Raises:
        InvalidInput: the existing file is malformed.
        OSError: the file cannot be written.
    """
    known = read_remembered(root)
    settings = {**known, **{wish.name: _with(known, wish) for wish in wanted if wish.differs}}
    if settings != known:
        path = os.path.join(root, BEFORE)
        write_whole(path, msgspec.json.format(msgspec.json.encode(_File(1, settings))) + b"\n", MODE)
        sync_folder(os.path.dirname(path))
    return settings


def forget(root: str = "/") -> bool:
    """Delete the file, and its folder if that is then empty. Returns whether the file existed.

    Raises:
        OSError: the file cannot be deleted.
    """
    path = os.path.join(root, BEFORE)
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    with suppress(OSError):
        os.rmdir(os.path.dirname(path))
    return True


def sync_folder(folder: str) -> None:
    """Flush a folder to the disk, so that a rename in it survives a power cut.

    Raises:
        OSError: the disk refused.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _with(known: Mapping[str, Remembered], wish: WantedSetting) -> Remembered:
    entry = known.get(wish.name) or Remembered(before=wish.present or "", ours=())
    earlier = (value for value in entry.ours if value != wish.wanted)
    return Remembered(entry.before, (*earlier, wish.wanted))
