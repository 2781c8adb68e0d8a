"""The files from which a node boots, ready on this host."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from overbook_sandbox.machine import initramfs
from overbook_sandbox.machine.cache import cache_folder
from overbook_sandbox.machine.kernel_image import kernel_image
from overbook_sandbox.machine.packages import Host, Say
from overbook_sandbox.machine.spec import Kernel


class Image(NamedTuple):
    """The files from which a node boots.

    Attributes:
        qemu: The path of the emulator.
        kernel: The path of the kernel.
        initramfs: The path of the initramfs that all boots share.
        kernel_name: The package of the kernel, or its path.
    """

    qemu: str
    kernel: str
    initramfs: str
    kernel_name: str


def prepare(
    *,
    install_packages: bool = False,
    say: Say | None = None,
    environment: Mapping[str, str] = os.environ,
    kernel: Kernel = "stable",
) -> Image:
    """Fetch and build the missing files; fast if none is missing.

    Args:
        install_packages: Whether apt-get may install missing packages.
        say: Receives a line for each step; none if nothing has to be done.
        environment: May contain the cache folder and another kernel.
        kernel: The kernel to boot.

    Raises:
        SandboxUnavailableError: A missing part may not or cannot be installed or fetched.
    """
    host = Host(install=install_packages, say=say or _nothing)
    cache = cache_folder(environment)
    qemu, busybox = host.tools()
    found = kernel_image(host, cache, environment, kernel)
    return Image(qemu, found.path, initramfs.cached(cache, busybox, found.modules), found.name)


def _nothing(_line: str) -> None:
    pass
