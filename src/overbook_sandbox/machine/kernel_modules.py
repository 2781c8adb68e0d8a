"""The kernel modules that a node needs, in their loading order.

A Debian kernel package has no `modules.dep` (depmod writes it on installation), so the dependencies are read
from the modules themselves: the `.modinfo` section contains `depends=a,b`.
"""

import gzip
import lzma
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from overbook_sandbox.machine.errors import SandboxError

WANTED = ("virtio_pci", "virtio_blk", "virtio_console", "9pnet_virtio", "9p", "overlay", "virtio_net", "veth")
"""The modules for the node's init and its pods' network; their dependencies are added."""
LATER = ("crc32c_generic", "ext4", "loop", "zram", "dm_crypt", "xts", "ecb")
"""The modules that a test may load in the node: for a disk with files, and for each kind of swap."""
_NO_MODULE_LATER = frozenset({"crc32c_generic"})
"""The modules of older kernels that are no modules in newer ones, where nothing asks for them."""

_DEPENDS = re.compile(rb"\0depends=([\w,-]*)\0")
_DECOMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    ".ko": bytes,
    ".ko.gz": gzip.decompress,
    ".ko.xz": lzma.decompress,
}


def canonical_name(module: str) -> str:
    """The kernel's spelling of a module's name: `virtio-rng` and `virtio_rng` are one module."""
    return module.replace("-", "_")


def dependencies(module: bytes) -> tuple[str, ...]:
    """Read the names of the modules that must be loaded before this one.

    Args:
        module: The content of an uncompressed `.ko` file.

    Returns:
        The canonical names, as listed in the module; empty if it needs none.
    """
    found = _DEPENDS.search(module)
    names = found[1].decode().split(",") if found else []
    return tuple(canonical_name(name) for name in names if name)


def load_order(wanted: Iterable[str], dependencies_of: Callable[[str], Iterable[str]]) -> list[str]:
    """Order modules so that each comes after its dependencies.

    Args:
        wanted: The wanted modules.
        dependencies_of: Returns the direct dependencies of a module.

    Returns:
        The wanted modules and all their dependencies, each once.

    Raises:
        SandboxError: The modules depend on each other in a circle.
    """
    graph: dict[str, tuple[str, ...]] = {}
    waiting = [canonical_name(name) for name in reversed(tuple(wanted))]
    while waiting:
        name = waiting.pop()
        if name not in graph:
            graph[name] = tuple(dependencies_of(name))
            waiting.extend(reversed(graph[name]))
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise SandboxError(f"kernel modules depend on each other in a circle: {error.args[1]}") from error


class ModuleTree:
    """The modules of one kernel.

    Args:
        folder: A kernel's module folder, such as `/lib/modules/6.1.0-1-amd64`.

    Raises:
        SandboxError: The folder does not exist.
    """

    def __init__(self, folder: str) -> None:
        if not os.path.isdir(folder):
            raise SandboxError(f"{folder}: no such folder of kernel modules")
        self._folder = folder
        self._paths = dict(_module_files(folder))
        self._built_in = frozenset(_built_in(os.path.join(folder, "modules.builtin")))

    def read(self, name: str) -> bytes:
        """The decompressed content of a module.

        Raises:
            SandboxError: The kernel has no such module, or its compression is not supported.
        """
        path = self._paths.get(name)
        if path is None:
            raise SandboxError(f"{self._folder}: the kernel has no module {name}; the sandbox needs it")
        _, suffix = _split(path)
        decompress = _DECOMPRESS.get(suffix)
        if decompress is None:
            known = ", ".join(_DECOMPRESS)
            raise SandboxError(f"{path}: cannot decompress {suffix}; use a kernel with modules as {known}")
        with open(path, "rb") as file:
            return decompress(file.read())

    def collect_later(self) -> dict[str, bytes]:
        """Read the modules of `LATER`, as :meth:`collect` does, without those that newer kernels do not have.

        Raises:
            SandboxError: A module is missing or cannot be read.
        """
        return self.collect(name for name in LATER if name in self._paths or name not in _NO_MODULE_LATER)

    def collect(self, wanted: Iterable[str]) -> dict[str, bytes]:
        """Read the wanted modules and their dependencies.

        Args:
            wanted: The names of modules; built-in ones are left out.

        Returns:
            The contents by canonical name, in loading order.

        Raises:
            SandboxError: A module is missing or cannot be read.
        """
        contents: dict[str, bytes] = {}

        def dependencies_of(name: str) -> Iterable[str]:
            if name in self._built_in:
                return ()
            contents[name] = self.read(name)
            return dependencies(contents[name])

        order = load_order(wanted, dependencies_of)
        return {name: contents[name] for name in order if name not in self._built_in}


def _module_files(folder: str) -> Iterator[tuple[str, str]]:
    for parent, _, files in os.walk(folder):
        for file in files:
            name, suffix = _split(file)
            if suffix:
                yield canonical_name(name), os.path.join(parent, file)


def _built_in(path: str) -> Iterator[str]:
    if os.path.exists(path):
        with open(path, encoding="ascii") as file:
            for line in file:
                yield canonical_name(_split(os.path.basename(line.strip()))[0])


def _split(file: str) -> tuple[str, str]:
    """Split a path: `fs/9p.ko.xz` -> (`fs/9p`, `.ko.xz`); the suffix is empty if the file is no module."""
    stem, dot, rest = file.partition(".ko")
    return (stem, dot + rest) if dot and (not rest or rest.startswith(".")) else (file, "")
