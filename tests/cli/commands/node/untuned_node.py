"""An untuned node is a tree of kernel files for `--fsroot`; writing a file changes nothing else."""

import os
import pathlib

from overbook_sandbox.fakes.kernel_files import build_tree

ZONE = """Node 0, zone   Normal
  pages free     3000000
        min      16384
        low      20480
        high     24576
        spanned  4194304
        present  4194304
        managed  4000000
"""
DISK = "259:0"


def untuned_node(root: pathlib.Path, *, io_latency: bool = True) -> pathlib.Path:
    build_tree(
        root,
        {
            "proc/meminfo": "MemTotal:       16384000 kB\nSwapTotal:       8192000 kB\n",
            "proc/zoneinfo": ZONE,
            "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/dev/nvme0n1p3 partition 8192000 0 10\n",
            "proc/1/mountinfo": "20 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n",
            "proc/kallsyms": f"0000000000000000 t {'iolatency_set_limit' if io_latency else 'other'}\n",
            "proc/sys/vm": {
                "overcommit_memory": "0\n",
                "panic_on_oom": "1\n",
                "swappiness": "0\n",
                "watermark_scale_factor": "10\n",
            },
            "sys/fs/cgroup/system.slice": {
                "memory.swap.max": "max\n",
                "memory.swap.current": "8388608\n",
                **({"io.latency": ""} if io_latency else {}),
            },
            "sys/devices/nvme0n1": {"dev": f"{DISK}\n", "nvme0n1p2/partition": "2\n"},
        },
    )
    (root / "sys/dev/block").mkdir(parents=True)
    (root / "sys/dev/block/259:2").symlink_to("../../devices/nvme0n1/nvme0n1p2")
    return root


def run_kubelet(root: pathlib.Path, configuration: str) -> None:
    build_tree(
        root,
        {
            "proc/4711/cmdline": "/usr/bin/kubelet\0--config=/etc/kubelet.yaml\0",
            "proc/4711/cgroup": "0::/system.slice/kubelet.service\n",
            "etc/kubelet.yaml": configuration,
        },
    )


def settings(root: pathlib.Path) -> dict[str, str]:
    """Return all settings that were written to the kernel, by file."""
    folders = ("proc/sys/vm", "sys/fs/cgroup/system.slice")
    files = (file for folder in folders for file in (root / folder).iterdir())
    return {os.fspath(file.relative_to(root)): file.read_text().strip() for file in sorted(files)}


def files_left(root: pathlib.Path) -> list[str]:
    """Return the files on the host beside those that the kernel makes."""
    kernels = {"proc", "sys", "run"}
    files = (file.relative_to(root) for file in root.rglob("*") if not file.is_dir())
    return sorted(str(file) for file in files if file.parts[0] not in kernels)
