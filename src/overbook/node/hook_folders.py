"""The folders in which this host's container engines look for OCI hooks.

CRI-O: ``hooks_dir`` of the table ``crio.runtime`` in ``crio.conf`` and, over it, in every file of
``crio.conf.d`` in order of their names (crio.conf(5), crio.conf.d(5)). Podman: ``hooks_dir`` of the table
``engine`` in the chain of ``containers.conf`` (containers.conf(5), podman(1)). An engine without this setting
uses its default.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from overbook.core.errors import InvalidInput

SHARED: Final = "/usr/share/containers/oci/hooks.d"
ADMINISTRATORS: Final = "/etc/containers/oci/hooks.d"
UNTIL_BOOT: Final = "/run/containers/oci/hooks.d"

MOST_BYTES: Final = 1 << 20

_CRIO: Final = ("usr/bin/crio", "usr/local/bin/crio", "run/crio/crio.sock", "etc/crio")
_PODMAN: Final = ("usr/bin/podman", "usr/local/bin/podman")
"""Paths of which one exists if the engine is installed."""
_CRIO_FILES: Final = ("etc/crio/crio.conf", "etc/crio/crio.conf.d/")
_PODMAN_FILES: Final = (
    "usr/share/containers/containers.conf",
    "usr/share/containers/containers.conf.d/",
    "etc/containers/containers.conf",
    "etc/containers/containers.conf.d/",
)
"""The files in the engine's order of reading; a slash at the end means every file in the folder."""


def hook_folders(root: str = "/") -> tuple[str, ...]:
    """The folders of all engines, CRI-O's first, as paths on the host; empty if no engine reads hooks.

    Args:
        root: the host's file system.

    Raises:
        InvalidInput: a configuration file is malformed.
        OSError: a file cannot be read.
    """
    return tuple(dict.fromkeys((*crio_hook_folders(root), *podman_hook_folders(root))))


def crio_hook_folders(root: str = "/") -> tuple[str, ...]:
    """The folders of CRI-O, which runs Kubernetes' containers; raises as :func:`hook_folders`."""
    if not _there(_CRIO, root):
        return ()
    files = _files(_CRIO_FILES, root, suffix="")
    return _configured(files, ("crio", "runtime"), (SHARED,))


def podman_hook_folders(root: str = "/") -> tuple[str, ...]:
    """The folders of root's Podman; raises as :func:`hook_folders`."""
    if not _there(_PODMAN, root):
        return ()
    files = _files(_PODMAN_FILES, root, suffix=".conf")
    return _configured(files, ("engine",), (SHARED,))


def preferred(folders: Iterable[str]) -> str:
    """The best folder for a hook: the administrator's if the engine reads it; empty if there is none."""
    read = tuple(folders)
    return next((folder for folder in (ADMINISTRATORS, UNTIL_BOOT, *read) if folder in read), "")


def _there(paths: Iterable[str], root: str) -> bool:
    return any(os.path.exists(os.path.join(root, path)) for path in paths)


def _files(places: Iterable[str], root: str, suffix: str) -> list[str]:
    found: list[str] = []
    for place in places:
        path = os.path.join(root, place)
        if not place.endswith("/"):
            found += [path] if os.path.isfile(path) else []
        elif os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if name.endswith(suffix))
            found += [file for name in names if os.path.isfile(file := os.path.join(path, name))]
    return found


def _configured(files: Iterable[str], tables: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    folders = default
    for path in files:
        table: Any = _read(path)
        for name in tables:
            table = table.get(name, {}) if isinstance(table, Mapping) else {}
        if isinstance(table, Mapping) and "hooks_dir" in table:
            where = f"{path}: {'.'.join(tables)}.hooks_dir"
            folders = _added(folders, table["hooks_dir"], where)
    return tuple(os.path.normpath(folder) for folder in folders)


def _added(before: tuple[str, ...], value: object, where: str) -> tuple[str, ...]:
    """The list after reading a file; ``{append = true}`` in the file adds to the previous list."""
    entries = value if isinstance(value, list) else [value]
    named = tuple(entry for entry in entries if isinstance(entry, str))
    orders = [entry for entry in entries if not isinstance(entry, str)]
    if any(order not in ({"append": True}, {"append": False}) for order in orders) or any(
        not folder.startswith("/") for folder in named
    ):
        raise InvalidInput(where, value, "a list of absolute paths")
    return (*before, *named) if {"append": True} in orders else named


def _read(path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise InvalidInput(path, f"{len(data)} bytes or more", f"at most {MOST_BYTES} bytes of TOML")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(path, str(error), "a file in TOML") from error
