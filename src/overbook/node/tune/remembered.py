"""What the node's settings were before they were changed: a file that outlives boots and upgrades.

It is written before the first change, whole or not at all. What a setting was is never overwritten; only what
it was given since is added.
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
    """What was remembered, by the setting's name; empty: nothing was changed.

    Raises:
        InvalidInput: the file is not one of ours, or half of one.
        OSError: it cannot be read.
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
        expected = "what `overbook node tune` wrote there; nothing is changed while old values are not known"
        raise InvalidInput(path, found, expected) from error


def remember(wanted: tuple[WantedSetting, ...], root: str = "/") -> dict[str, Remembered]:
    """Write down what is about to change: on the disk when this returns.

    Returns:
        All that is remembered now.

    Raises:
        InvalidInput: the file that is there cannot be understood.
        OSError: it cannot be written.
    """
    known = read_remembered(root)
    settings = {**known, **{wish.name: _with(known, wish) for wish in wanted if wish.differs}}
    if settings != known:
        path = os.path.join(root, BEFORE)
        write_whole(path, msgspec.json.format(msgspec.json.encode(_File(1, settings))) + b"\n", MODE)
        sync_folder(os.path.dirname(path))
    return settings


def forget(root: str = "/") -> bool:
    """Delete the file, and its folder where that is empty then; whether it was there.

    Raises:
        OSError: it cannot be deleted.
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
    """Have a folder's names on the disk: a rename is there after a power cut only then.

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
