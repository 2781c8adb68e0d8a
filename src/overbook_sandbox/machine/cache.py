"""The cache of downloads and built files, which several processes can share.

Each entry appears complete, by a rename; a lock file lets one process build while others wait. Any entry may
be
deleted: it is made again.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress


def cache_folder(environment: Mapping[str, str]) -> str:
    """The user's cache folder: `$OVERBOOK_CACHE`, `$XDG_CACHE_HOME/overbook` or `~/.cache/overbook`."""
    if chosen := environment.get("OVERBOOK_CACHE"):
        return os.path.abspath(chosen)
    base = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "overbook")


@contextmanager
def locked(folder: str, name: str) -> Iterator[None]:
    """Hold the lock `name` of a cache folder, which is made if it is missing."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f".{name}.lock"), "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def folder_in_the_making(final: str) -> Iterator[str]:
    """Yield a temporary folder that is renamed to `final` if the block succeeds.

    An older `final` is removed first. The caller must hold a lock.
    """
    parent = os.path.dirname(final)
    os.makedirs(parent, exist_ok=True)
    making = tempfile.mkdtemp(prefix=".making-", dir=parent)
    try:
        yield making
        os.chmod(making, 0o755)  # noqa: S103 - with mkdtemp's 0700 other users could not read a shared cache
        shutil.rmtree(final, ignore_errors=True)
        os.rename(making, final)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def write_whole(path: str, data: bytes) -> None:
    """Write a file so that no reader ever sees half of it.

    Unlike :func:`overbook.node.files.write_whole`, several processes may write the same file at once, and
    nothing waits for the disk: a cache is made again.
    """
    handle, making = tempfile.mkstemp(prefix=".making-", dir=os.path.dirname(path))
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.rename(making, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(making)
