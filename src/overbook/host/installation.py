"""Puts files on a host and takes them away again, and runs host programs where the host's own paths hold.

A file appears whole or not at all, and is on the disk before its name is. Everything is safe to repeat, and
to be killed in the middle of.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

HostFile = tuple[bytes, int]
"""Content and mode."""


def install(files: Mapping[str, HostFile], root: str = "/") -> list[str]:
    """Write the files that are not as they should be.

    Args:
        files: content and mode by path below the root.
        root: the host's file system.

    Returns:
        The paths that were written, in order.

    Raises:
        OSError: one cannot be written; those before it are.
    """
    return [path for path, (data, mode) in files.items() if write_whole(os.path.join(root, path), data, mode)]


def differing(files: Mapping[str, HostFile], root: str = "/") -> list[str]:
    """The paths that :func:`install` would write, in order.

    Raises:
        OSError: one cannot be read.
    """
    return [path for path, (data, mode) in files.items() if not _is(os.path.join(root, path), data, mode)]


def write_whole(path: str, data: bytes, mode: int) -> bool:
    """Write one file by a rename; whether it was not like that already.

    Raises:
        OSError: it cannot be written.
    """
    if _is(path, data, mode):
        return False
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    handle, making = tempfile.mkstemp(prefix=".overbook-", dir=folder)
    try:
        with open(handle, "wb") as file:
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
    """Delete files, and the folders of ours that are empty then; returns what was there.

    Raises:
        OSError: one cannot be deleted.
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


def run_on_host(
    argv: Sequence[str], root: str = "/", environment: Mapping[str, str] | None = None, *, shown: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run a program of the host: in its first process's mount namespace where its file system is elsewhere.

    Args:
        argv: the program and its arguments, as the host calls them.
        root: the host's file system.
        environment: variables beside ``PATH``.
        shown: whether what it says goes where ours goes, at once; otherwise it is in the result's ``stdout``.

    Raises:
        OSError: it cannot be started.
    """
    inside = () if os.path.realpath(root) == "/" else ("nsenter", "--target", "1", "--mount", "--")
    return subprocess.run(  # noqa: S603 - argv lists made in this package, never a shell line
        [*inside, *argv],
        check=False,
        text=True,
        stdout=None if shown else subprocess.PIPE,
        stderr=None if shown else subprocess.STDOUT,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(environment or {})},
    )
