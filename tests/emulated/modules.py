"""Loads the modules of the node's kernel that its init leaves out."""

import os
import pathlib
import subprocess

from overbook_sandbox.machine.cache import cache_folder
from overbook_sandbox.machine.kernel_image import later_modules


def load_modules(folder: pathlib.Path) -> None:
    """Load all modules, in the order in which they need each other.

    Args:
        folder: where a module may lie for a moment.
    """
    loaded = {line.split()[0] for line in pathlib.Path("/proc/modules").read_text().splitlines()}
    for name, content in later_modules(cache_folder(os.environ), os.environ, os.uname().release).items():
        if name not in loaded:
            path = folder / f"{name}.ko"
            path.write_bytes(content)
            subprocess.run(["busybox", "insmod", str(path)], check=True)
            path.unlink()
