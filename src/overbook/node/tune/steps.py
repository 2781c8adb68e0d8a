"""The steps that tune a node and that remove the tuning.

A kill at any point loses no old value, and both can be repeated.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from overbook.kernel.tunable import read_tunable, write_tunable
from overbook.node.files import install, remove
from overbook.node.host_program import run_on_host
from overbook.node.tune.files import (
    OVERCOMMIT_PATHS,
    OVERCOMMIT_UNIT,
    OVERCOMMIT_UNIT_FILE,
    PATHS,
    SLICE_FILE,
)
from overbook.node.tune.node import TunedNode
from overbook.node.tune.remembered import BEFORE, forget, remember
from overbook.node.tune.rules import RestoredSetting, put_back


@contextmanager
def tuning_lock(root: str) -> Iterator[None]:
    """Hold the lock so that no other process tunes this node meanwhile.

    Raises:
        OSError: another process holds the lock, or the lock file cannot be made.
    """
    folder = os.path.join(root, "run/overbook")
    os.makedirs(folder, exist_ok=True)
    lock = os.open(os.path.join(folder, ".tune.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise OSError("another `overbook node tune` runs on this node; wait until it ends") from error
    finally:
        os.close(lock)


def planned(node: TunedNode) -> Iterator[str]:
    """The steps that `apply` would take."""
    for path, (data, _) in node.files.items():
        if _content(node, path) != data:
            yield f"write /{path}"
    if node.overcommit == "on":
        yield from (f"remove /{path}" for path in OVERCOMMIT_PATHS if _exists(node, path))
    for wish in node.wishes:
        if wish.differs:
            yield f"{wish.name} from {wish.present} to {wish.wanted}: {wish.sentence}"


def apply(node: TunedNode) -> Iterator[str]:
    """Apply the tuning, now and after every boot; yields each step that was done.

    Raises:
        InvalidInput: the file of old values is malformed.
        OSError, KernelFileError: a file cannot be written, or the kernel refused.
    """
    remember(node.wishes, node.root)
    for path in install(node.files, node.root):
        yield f"wrote /{path}"
    if node.overcommit == "on":
        yield from _without_unit(node)
    yield from _systemctl(node, "daemon-reload")
    for wish in node.wishes:
        # systemd may have set it by now.
        if read_tunable(wish.name, node.root) not in {None, wish.wanted}:
            write_tunable(wish.name, wish.wanted, node.root)
        if wish.differs:
            yield f"{wish.name} was {wish.present} and is {wish.wanted}: {wish.sentence}"
    if node.overcommit == "off":
        yield from _systemctl(node, "enable", "--now", OVERCOMMIT_UNIT)


def planned_removal(node: TunedNode) -> Iterator[str]:
    """The steps that `remove_tuning` would take."""
    yield from (f"remove /{path}" for path in (*PATHS, *node.slice_drop_ins, BEFORE) if _exists(node, path))
    yield from (returned.sentence for returned in _returns(node))


def remove_tuning(node: TunedNode) -> Iterator[str]:
    """Remove the tuning and restore the old values, whose file is deleted last. Yields each step.

    Raises:
        OSError, KernelFileError: something cannot be written, or the kernel refused.
    """
    yield from _without_unit(node)
    for path in remove((*PATHS, *node.slice_drop_ins), node.root):
        yield f"removed /{path}"
    for path in (SLICE_FILE, *node.slice_drop_ins):
        with suppress(OSError):  # others may have drop-ins there
            os.rmdir(os.path.join(node.root, os.path.dirname(path)))
    yield from _systemctl(node, "daemon-reload")
    for returned in _returns(node):
        if returned.value is not None:
            write_tunable(returned.name, returned.value, node.root)
        yield returned.sentence
    if forget(node.root):
        yield f"removed /{BEFORE}"


def _returns(node: TunedNode) -> Iterator[RestoredSetting]:
    """The restored settings, each computed from its value at that moment."""
    strict = node.facts.kubelet == "Strict"
    for name, entry in node.remembered.items():
        yield put_back(name, entry, read_tunable(name, node.root), strict_kubelet=strict)


def _without_unit(node: TunedNode) -> Iterator[str]:
    if not _exists(node, OVERCOMMIT_UNIT_FILE):
        return
    yield from _systemctl(node, "disable", "--now", OVERCOMMIT_UNIT)
    # The unit's file last, because it shows that overcommit was switched off here.
    for path in remove(reversed(OVERCOMMIT_PATHS), node.root):
        yield f"removed /{path}"


def _systemctl(node: TunedNode, *words: str) -> Iterator[str]:
    if not node.systemd:
        return
    done = run_on_host(["systemctl", *words], node.root)
    if done.returncode:
        raise OSError(f"systemctl {' '.join(words)}: {done.stdout.strip()}")
    yield f"systemctl {' '.join(words)}"


def _exists(node: TunedNode, path: str) -> bool:
    return os.path.exists(os.path.join(node.root, path))


def _content(node: TunedNode, path: str) -> bytes | None:
    try:
        with open(os.path.join(node.root, path), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
