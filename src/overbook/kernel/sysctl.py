"""Kernel parameters under /proc/sys, by their dotted names.

Source: kernel Documentation/admin-guide/sysctl/vm.rst.
"""

import errno
import os
import re

import msgspec

from overbook.kernel.files import KernelFileError, read_file, shown, under, write_file

_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-zA-Z0-9_-]+)+")
_INTEGER = re.compile(rb"-?[0-9]{1,19}")


def sysctl_path(name: str, root: str | os.PathLike[str] = "/") -> str:
    """The path of the file for a dotted name: `vm.swappiness` is /proc/sys/vm/swappiness below `root`.

    Raises:
        KernelFileError: `name` is no dotted name.
    """
    if _NAME.fullmatch(name) is None:
        raise KernelFileError(f"sysctl {name!r}", "is no dotted name such as 'vm.swappiness'", errno.EINVAL)
    return under(root, "/proc/sys/" + name.replace(".", "/"))


def parse_integer(data: bytes, path: str = "sysctl") -> int:
    """The value of a parameter that is one integer.

    Raises:
        KernelFileError: The content is not one integer.
    """
    text = data.strip()
    if _INTEGER.fullmatch(text) is None:
        raise KernelFileError(path, f"found {shown(data)}, expected one integer")
    return int(text)


def read_sysctl(name: str, root: str | os.PathLike[str] = "/") -> str:
    """The value of a parameter as text, without the line end.

    Raises:
        MissingKernelFile: The kernel has no such parameter.
        KernelFileError: Unreadable, or `name` is no dotted name.
    """
    return read_file(sysctl_path(name, root)).decode("utf-8", "backslashreplace").strip()


def write_sysctl(name: str, value: str | int, root: str | os.PathLike[str] = "/") -> None:
    """Set a parameter until the next boot.

    Raises:
        MissingKernelFile: The kernel has no such parameter.
        KernelFileError: The kernel refused (`errno` says how), or `name` is no dotted name.
    """
    write_file(sysctl_path(name, root), f"{value}\n".encode())


class IntegerSysctl(msgspec.Struct, frozen=True):
    """A parameter that is one integer.

    Attributes:
        name: The dotted name.
        lowest: The lowest value that the kernel takes.
        highest: The highest value that a kernel of today takes; an older one may refuse it with EINVAL.
    """

    name: str
    lowest: int
    highest: int

    def read(self, root: str | os.PathLike[str] = "/") -> int:
        """The present value.

        Raises:
            MissingKernelFile: The kernel has no such parameter.
            KernelFileError: Unreadable, or no integer.
        """
        path = sysctl_path(self.name, root)
        return parse_integer(read_file(path), path)

    def write(self, value: int, root: str | os.PathLike[str] = "/") -> None:
        """Set the parameter until the next boot.

        Raises:
            MissingKernelFile: The kernel has no such parameter.
            KernelFileError: Out of range, or the kernel refused.
        """
        if not self.lowest <= value <= self.highest:
            problem = f"cannot be {value}: it must be {self.lowest} to {self.highest}"
            raise KernelFileError(sysctl_path(self.name, root), problem, errno.EINVAL)
        write_sysctl(self.name, value, root)


VM_OVERCOMMIT_MEMORY = IntegerSysctl("vm.overcommit_memory", 0, 2)
VM_PANIC_ON_OOM = IntegerSysctl("vm.panic_on_oom", 0, 2)
VM_SWAPPINESS = IntegerSysctl("vm.swappiness", 0, 200)
