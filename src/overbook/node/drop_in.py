"""The drop-ins of systemd's units: what they set, and the command that sets something else.

Source: systemd.unit(5): drop-ins of all folders are read in the order of their names; of two with one name
the one in the folder of higher priority counts; ``-.slice.d``, ``kubepods-.slice.d`` and ``slice.d`` apply to
several units.
"""

import os
from collections.abc import Iterator
from typing import Final

import msgspec

FOLDERS: Final = (
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/transient",
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
"""The folders of units below the root, highest priority first."""
OWN_NAME: Final = "zz-overbook.conf"
_LIMIT: Final = 1 << 20


class Setting(msgspec.Struct, frozen=True, gc=False):
    """An assignment in a unit's file or drop-in.

    Attributes:
        value: the text after the equals sign.
        path: the file, from the root.
    """

    value: str
    path: str


def unit_settings(unit: str, root: str = "/") -> dict[str, Setting]:
    """The last assignment of each name in a unit's file and drop-ins, whatever section it is in.

    Raises:
        OSError: a file cannot be read.
    """
    found: dict[str, Setting] = {}
    for path in _unit_files(unit, root):
        found.update({name: Setting(value, f"/{path}") for name, value in assignments(root, path)})
    return found


def assignments(root: str, path: str) -> Iterator[tuple[str, str]]:
    """Names and values in a file of systemd's form.

    Raises:
        OSError: the file cannot be read.
    """
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        lines = file.read(_LIMIT).replace("\\\n", " ").splitlines()
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith(("#", ";")):
            yield name.strip(), value.strip()


def drop_ins(root: str, name: str, folders: tuple[str, ...]) -> list[str]:
    """The files ``FOLDER/NAME.d/*.conf`` in the order in which systemd reads them, below the root."""
    chosen: dict[str, str] = {}
    for folder in folders:
        for file in _listed(root, f"{folder}/{name}.d"):
            if file.endswith(".conf"):
                chosen.setdefault(file, f"{folder}/{name}.d/{file}")
    return [chosen[file] for file in sorted(chosen)]


def drop_in_command(unit: str, lines: tuple[str, ...], after: str = "") -> str:
    """The command that writes a drop-in which is read after all others.

    Args:
        unit: the unit's name.
        lines: what to set.
        after: the drop-in that it has to come after.
    """
    section = unit.rpartition(".")[2].capitalize()
    name = max(OWN_NAME, f"z{os.path.basename(after)}") if os.path.basename(after) >= OWN_NAME else OWN_NAME
    folder = f"/etc/systemd/system/{unit}.d"
    text = "\\n".join((f"[{section}]", *lines, ""))
    return f"mkdir -p {folder} && printf '{text}' > {folder}/{name} && systemctl daemon-reload"


def _unit_files(unit: str, root: str) -> Iterator[str]:
    own = next((f"{folder}/{unit}" for folder in FOLDERS if _is_file(root, f"{folder}/{unit}")), None)
    if own is not None:
        yield own
    chosen: dict[str, str] = {}
    for name in _names(unit):
        for path in drop_ins(root, name, FOLDERS):
            chosen.setdefault(os.path.basename(path), path)
    for file in sorted(chosen):
        if _is_file(root, chosen[file]):
            yield chosen[file]


def _names(unit: str) -> Iterator[str]:
    """The unit's own name, then the names of drop-in folders for several units, the closest first."""
    stem, _, kind = unit.rpartition(".")
    yield unit
    parts = stem.split("-")
    for count in range(len(parts) - 1, 0, -1):
        prefix = "-".join(parts[:count])
        if prefix:
            yield f"{prefix}-.{kind}"
    yield kind


def _is_file(root: str, path: str) -> bool:
    """Whether it is a file with a content; a link to /dev/null masks one."""
    return os.path.isfile(os.path.join(root, path))


def _listed(root: str, folder: str) -> list[str]:
    try:
        return os.listdir(os.path.join(root, folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
