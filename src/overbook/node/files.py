"""Install files on a host, and remove them.

A file appears completely or not at all: its content is on the disk before its name. Every function may be
repeated, and may be killed at any point.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

HostFile = tuple[bytes, int]
"""Content and mode."""


def install(files: Mapping[str, HostFile], root: str = "/") -> list[str]:
    """Write the files that differ in content or mode.

    Args:
        files: content and mode by path below the root.
        root: the host's file system.

    Returns:
        The paths that were written, in order.

    Raises:
        OSError: a file cannot be written; those before it are.
    """
    return [path for path, (data, mode) in files.items() if write_whole(os.path.join(root, path), data, mode)]


def differing(files: Mapping[str, HostFile], root: str = "/") -> list[str]:
    """The paths that :func:`install` would write, in order.

    Raises:
        OSError: a file cannot be read.
    """
    return [path for path, (data, mode) in files.items() if not _is(os.path.join(root, path), data, mode)]


def write_whole(path: str, data: bytes, mode: int = 0o600) -> bool:
    """Write one file by a rename, with its folder. Returns False if the file is already as wanted.

    Raises:
        OSError: the file cannot be written; the old one is unchanged.
    """
    if _is(path, data, mode):
        return False
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # One fixed name, so that killed processes do not leave several files; private from the first byte.
    making = f"{path}.new"
    try:
        with suppress(FileNotFoundError):
            os.unlink(making)
        with open(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.rename(making, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(making)
    return True


def _is(path: str, data: bytes, mode: int) -> bool:
    with suppress(FileNotFoundError), open(path, "rb") as file:
        return os.fstat(file.fileno()).st_mode & 0o7777 == mode and file.read(len(data) + 1) == data
    return False


def remove(paths: Iterable[str], root: str = "/") -> list[str]:
    """Delete files, and Overbook's folders that are then empty. Returns the deleted paths.

    Raises:
        OSError: a file cannot be deleted.
    """
    removed = []
    for path in paths:
        full = os.path.join(root, path)
        with suppress(FileNotFoundError):
            os.unlink(full)
            removed.append(path)
        if os.path.basename(os.path.dirname(full)) == "overbook":
            with suppress(OSError):
                os.rmdir(os.path.dirname(full))
    return removed
