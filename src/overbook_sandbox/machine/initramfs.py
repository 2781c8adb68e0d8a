"""The node's initramfs: busybox, the modules, and the two scripts that start the job."""

import hashlib
import os
from collections.abc import Mapping
from importlib.resources import files

from overbook_sandbox.machine import cpio
from overbook_sandbox.machine.cache import write_whole

_FOLDERS = ("bin", "dev", "proc", "sys", "modules")


def build(busybox: bytes, modules: Mapping[str, bytes], scripts: Mapping[str, bytes]) -> bytes:
    """Build the archive, which is the same for every boot.

    It is not compressed, because the emulated CPU would need longer to unpack it than the host to read it.

    Args:
        busybox: A statically linked busybox.
        modules: The modules' contents by name, in loading order.
        scripts: The shell scripts by name; `init` is the first program.

    Returns:
        A cpio archive, to which further archives can be appended.
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
    """Build the archive if the cache does not have it, and return its path.

    The name in the cache is a digest of the content, so no outdated archive is used.
    """
    with open(busybox_path, "rb") as file:
        content = build(file.read(), modules, guest_scripts())
    path = os.path.join(cache, f"initramfs-{hashlib.sha256(content).hexdigest()[:16]}.cpio")
    if not os.path.exists(path):
        os.makedirs(cache, exist_ok=True)
        write_whole(path, content)
    return path


def guest_scripts() -> dict[str, bytes]:
    """The scripts that run in the node, by name."""
    folder = files("overbook_sandbox.machine")
    return {
        "init": (folder / "guest_init.sh").read_bytes(),
        "guest_start.sh": (folder / "guest_start.sh").read_bytes(),
    }
