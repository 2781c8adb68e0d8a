"""Everything a node boots from, ready on this host."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from overbook_sandbox.machine import initramfs
from overbook_sandbox.machine.cache import cache_folder
from overbook_sandbox.machine.kernel_image import kernel_image
from overbook_sandbox.machine.packages import Host, Say


class Image(NamedTuple):
    """What a node boots from.

    Attributes:
        qemu: Path of the emulator.
        kernel: Path of the kernel.
        initramfs: Path of the initramfs that all boots share.
        kernel_name: The package that the kernel is from, or its path.
    """

    qemu: str
    kernel: str
    initramfs: str
    kernel_name: str


def prepare(
    *, install_packages: bool = False, say: Say | None = None, environment: Mapping[str, str] = os.environ
) -> Image:
    """Fetch and build what is missing; quick when nothing is.

    Args:
        install_packages: Whether apt-get may install missing packages.
        say: Receives a line for each thing done; nothing is said when there is nothing to do.
        environment: Names the cache folder and, if wanted, another kernel.

    Raises:
        SandboxUnavailableError: Something is missing that may not or cannot be provided.
    """
    host = Host(install=install_packages, say=say or _nothing)
    cache = cache_folder(environment)
    qemu, busybox = host.tools()
    kernel = kernel_image(host, cache, environment)
    return Image(qemu, kernel.path, initramfs.cached(cache, busybox, kernel.modules), kernel.name)


def _nothing(_line: str) -> None:
    pass
