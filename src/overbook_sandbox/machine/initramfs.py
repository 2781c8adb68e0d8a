"""The node's initramfs: busybox, the modules, and the two scripts that lead to the job."""

import hashlib
import os
from collections.abc import Mapping
from importlib.resources import files

from overbook_sandbox.machine import cpio
from overbook_sandbox.machine.cache import write_whole

_FOLDERS = ("bin", "dev", "proc", "sys", "modules")


def build(busybox: bytes, modules: Mapping[str, bytes], scripts: Mapping[str, bytes]) -> bytes:
    """Build the archive that is the same for every boot.

    It is not compressed: the emulated CPU would spend longer on unpacking than the host on reading.

    Args:
        busybox: A statically linked busybox.
        modules: Contents by name, in loading order.
        scripts: Shell scripts by name; `init` is the first program.

    Returns:
        A cpio archive. `cpio.archive` of more files can be appended to it.
    """
    order = "".join(f"{name}\n" for name in modules).encode()
    return cpio.archive(
        [
            *(cpio.directory(name) for name in _FOLDERS),
            cpio.character_device("dev/console", 5, 1),
            cpio.regular_file("bin/busybox", busybox, executable=True),
            *(cpio.regular_file(name, data, executable=True) for name, data in scripts.items()),
            *(cpio.regular_file(f"modules/{name}.ko", data) for name, data in modules.items()),
            cpio.regular_file("modules/order", order),
        ]
    )


def cached(cache: str, busybox_path: str, modules: Mapping[str, bytes]) -> str:
    """Build the archive unless the cache has it, and return its path.

    The name in the cache is a digest of the content, so nothing stale is ever used.
    """
    with open(busybox_path, "rb") as file:
        content = build(file.read(), modules, guest_scripts())
    path = os.path.join(cache, f"initramfs-{hashlib.sha256(content).hexdigest()[:16]}.cpio")
    if not os.path.exists(path):
        os.makedirs(cache, exist_ok=True)
        write_whole(path, content)
    return path


def guest_scripts() -> dict[str, bytes]:
    """The scripts that run in the node, by their names there."""
    folder = files("overbook_sandbox.machine")
    return {
        "init": (folder / "guest_init.sh").read_bytes(),
        "guest_start.sh": (folder / "guest_start.sh").read_bytes(),
    }
