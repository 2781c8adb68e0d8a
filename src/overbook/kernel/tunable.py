"""Kernel settings (sysctls and cgroup files) under one kind of name, read and written as text.

`vm.swappiness` is a sysctl. `system.slice/memory.swap.max` is a cgroup's file. `system.slice/io.latency/8:0`
is one disk's line of a cgroup's io.latency: its target in microseconds, or "none".

Source: kernel Documentation/admin-guide/cgroup-v2.rst (io.latency, memory.swap.max).
"""

import os

from overbook.kernel.files import MissingKernelFile, read_file, under, write_file
from overbook.kernel.sysctl import read_sysctl, write_sysctl

CGROUPS = "/sys/fs/cgroup"
NO_TARGET = "none"
_IO_LATENCY_SYMBOL = b" iolatency_set_limit"


def read_tunable(name: str, root: str | os.PathLike[str] = "/") -> str | None:
    """The present value of a setting; None if this kernel has no such setting.

    Raises:
        KernelFileError: Unreadable.
    """
    try:
        if "/" not in name:
            return read_sysctl(name, root)
        path, disk = _cgroup_file(name, root)
        text = read_file(path).decode("utf-8", "backslashreplace").strip()
    except MissingKernelFile:
        return None
    return _target(text, disk) if disk else text


def write_tunable(name: str, value: str, root: str | os.PathLike[str] = "/") -> None:
    """Change a setting until the next boot.

    Raises:
        MissingKernelFile: The kernel has no such setting.
        KernelFileError: The kernel refused.
    """
    if "/" not in name:
        write_sysctl(name, value, root)
        return
    path, disk = _cgroup_file(name, root)
    if disk:
        value = f"{disk} target={'max' if value == NO_TARGET else value}"
    write_file(path, f"{value}\n".encode())


def has_io_latency(cgroup: str, root: str | os.PathLike[str] = "/") -> bool:
    """Whether this kernel was built with io.latency.

    Args:
        cgroup: A cgroup below the root. While the io controller is off there, the cgroup has no io files;
            then the kernel's symbols are searched.
        root: The host's file system.
    """
    folder = under(root, CGROUPS)
    if os.path.exists(f"{folder}/{cgroup}/io.latency"):
        return True
    if os.path.exists(f"{folder}/{cgroup}/io.stat"):
        return False
    try:
        with open(under(root, "/proc/kallsyms"), "rb") as symbols:
            return any(_IO_LATENCY_SYMBOL in line for line in symbols)
    except OSError:
        return False


def _cgroup_file(name: str, root: str | os.PathLike[str]) -> tuple[str, str]:
    """The file's path, and the disk; an empty disk means the whole file."""
    folder, disk = name.rpartition("/")[::2]
    if ":" in disk:
        return under(root, f"{CGROUPS}/{folder}"), disk
    return under(root, f"{CGROUPS}/{name}"), ""


def _target(text: str, disk: str) -> str:
    for line in text.splitlines():
        number, _, rest = line.partition(" ")
        if number == disk:
            return next((word[7:] for word in rest.split() if word.startswith("target=")), NO_TARGET)
    return NO_TARGET
