"""Loads modules of the node's kernel that its init leaves out, from the cache that the kernel came from."""

import glob
import os
import pathlib
import subprocess

from overbook.sandbox.cache import cache_folder
from overbook.sandbox.kernel_modules import ModuleTree


def load_modules(folder: pathlib.Path, *names: str) -> None:
    """Load them and what they need; one that is there already is left as it is.

    Args:
        folder: where the decompressed modules may lie for a moment.
        names: of modules.
    """
    release = os.uname().release
    found = glob.glob(os.path.join(cache_folder(os.environ), "kernel", "*", "**", release), recursive=True)
    folders = [path for path in (*found, f"/lib/modules/{release}") if os.path.isdir(f"{path}/kernel")]
    loaded = {line.split()[0] for line in pathlib.Path("/proc/modules").read_text().splitlines()}
    for name, content in ModuleTree(folders[0]).collect(names).items():
        if name in loaded:
            continue
        path = folder / f"{name}.ko"
        path.write_bytes(content)
        subprocess.run(["busybox", "insmod", str(path)], check=True)
        path.unlink()
