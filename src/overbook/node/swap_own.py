"""Which of a node's swap areas are Overbook's, by its settings, its state file, its unit and its mappings."""

import os
import re
from collections.abc import Iterable, Iterator
from typing import Final

from overbook.kernel.block_device import device_numbers
from overbook.kernel.files import KernelFileError
from overbook.kernel.swaps import SwapArea
from overbook.node.device_names import followed
from overbook.node.swap import (
    FOLDER,
    NEXT_SETTINGS,
    OLD_SETTINGS,
    ON_UNIT,
    SETTINGS,
    STATE,
    UNIT_FOLDER,
    SwapSettings,
    read_settings_file,
)

EXISTING: Final = frozenset({"Existing", "ExistingTooSmall"})
"""The words in the state file where swap is left to others."""
MAPPING: Final = "overbook-swap-"
_FILE: Final = re.compile(r"/swapfile-[0-9]+(\.crypt)?\Z")
_MOUNTS: Final = re.compile(r"^RequiresMountsFor=(/\S+)$", re.MULTILINE)


def own_areas(root: str, areas: Iterable[SwapArea], state: tuple[str, str] | None) -> frozenset[str]:
    """The names of the areas that Overbook turned on, as /proc/swaps has them.

    Raises:
        InvalidInput: a settings file is not one of Overbook's.
        OSError: a settings file cannot be read.
    """
    read = (read_settings_file(root, path) for path in (SETTINGS, NEXT_SETTINGS, OLD_SETTINGS))
    known = [settings for settings in read if settings]
    devices = {followed(root, settings.device) for settings in known if settings.kind == "device"}
    folders = {FOLDER, *_folders(root, known)}
    areas = tuple(areas)
    own = named_areas(state) | devices
    mappings = _mappings(root)
    # An encrypted area is on by its mapping, and the state names what is below.
    below = named_areas(state) - {area.filename for area in areas}
    if below and (not known or any(settings.encrypt for settings in known)):
        mappings = dict.fromkeys((area.filename.removeprefix("/dev/") for area in areas), "") | mappings
        own |= {f"/dev/{name}" for name, alias in mappings.items() if name.startswith("dm-") and not alias}
    return frozenset(
        area.filename
        for area in areas
        if area.filename in own
        or _is_own_file(area, folders)
        or mappings.get(area.filename.removeprefix("/dev/"), "").startswith(MAPPING)
        or _is_own_zram(root, area.filename)
    )


def named_areas(state: tuple[str, str] | None) -> frozenset[str]:
    """The areas that the sentence of the swap program names."""
    word, sentence = state or ("", "")
    if word != "Ready":  # other sentences name other paths
        return frozenset()
    return frozenset(part for part in sentence.partition(": ")[2].split() if part.startswith("/"))


def _folders(root: str, known: list[SwapSettings]) -> Iterator[str]:
    folders = [settings.folder for settings in known if settings.kind == "file"]
    if not known:  # the agent's pod need not see the settings
        folders = _MOUNTS.findall(_unit(root))
    top = os.path.realpath(root).rstrip("/")
    for folder in folders:
        yield folder
        # The program names its files by the folder behind links.
        real = os.path.realpath(os.path.join(root, folder.lstrip("/")))
        yield real.removeprefix(top) or "/"


def _unit(root: str) -> str:
    try:
        with open(os.path.join(root, UNIT_FOLDER, ON_UNIT), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _is_own_file(area: SwapArea, folders: set[str]) -> bool:
    name = area.filename
    return _FILE.search(name) is not None and os.path.dirname(name) in folders


def _is_own_zram(root: str, name: str) -> bool:
    """Whether the swap program marked this zram device as its own since the boot."""
    mark = os.path.join(root, os.path.dirname(STATE), os.path.basename(name))
    return name.startswith("/dev/zram") and os.path.exists(mark)


def _mappings(root: str) -> dict[str, str]:
    """The names of device-mapper devices by their paths below /dev; none if they cannot be read."""
    try:
        numbers = device_numbers(root)
    except KernelFileError:
        return {}
    names = {number: name.removeprefix("mapper/") for name, number in numbers.items() if "mapper/" in name}
    return {name: names[number] for name, number in numbers.items() if number in names}
