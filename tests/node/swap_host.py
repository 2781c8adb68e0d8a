"""A host for the swap program: one disk with two partitions, the first of which is the root."""

import pathlib

from overbook_sandbox.fakes.kernel_files import build_tree, make_node

GIB = 1 << 30


def make_host(folder: pathlib.Path, *, rotational: int) -> str:
    """Make the host's files: 16 GiB of RAM, 8 GiB of swap on the second partition; returns the root."""
    make_node(folder, mem_total_bytes=16 * GIB, swap_total_bytes=8 * GIB)
    build_tree(
        folder,
        {
            "etc/systemd/system": {},
            "proc/1/mountinfo": "1 0 254:1 / / rw - ext4 /dev/vda1 rw\n",
            "sys/devices/vda": {
                "queue/rotational": f"{rotational}\n",
                "vda1/partition": "1\n",
                "vda2/partition": "2\n",
            },
            "sys/dev/block": {},
        },
    )
    for place in (1, 2):
        (folder / f"sys/dev/block/254:{place}").symlink_to(f"../../devices/vda/vda{place}")
    return str(folder)
