"""The node's kernel: one of Debian's generic ones, downloaded and unpacked, but never installed.

Two parts of the package are kept: the kernel, decompressed on the host where that is possible because the
emulated CPU needs seconds for that, and the modules that a node needs. `OVERBOOK_SANDBOX_KERNEL` sets another
kernel in place of any of them.
"""

import glob
import hashlib
import lzma
import os
import re
import shutil
import struct
import tempfile
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from overbook_sandbox.machine.cache import folder_in_the_making, locked
from overbook_sandbox.machine.debian import Suite, fetch, require_apt
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.machine.kernel_modules import LATER, WANTED, ModuleTree
from overbook_sandbox.machine.packages import Host
from overbook_sandbox.machine.spec import Kernel

META_PACKAGE = "linux-image-amd64"
KERNEL_VARIABLE = "OVERBOOK_SANDBOX_KERNEL"
MODULES_VARIABLE = "OVERBOOK_SANDBOX_MODULES"
SUITES: Final[Mapping[Kernel, str]] = {"older": "bullseye", "newer": "forky"}
"""The suite of each kernel except `stable`, which is from this host's suite."""

_FOLDERS: Final[Mapping[Kernel, str]] = {
    "older": "kernel-older",
    "stable": "kernel",
    "newer": "kernel-newer",
}

_OTHER_KERNEL = (
    f"{KERNEL_VARIABLE}=/path/to/vmlinuz with {MODULES_VARIABLE}=/path/to/lib/modules/VERSION "
    "selects another kernel"
)
_FORMAT = 2  # raise it if the kept parts of a package change
_XZ_MAGIC = b"\xfd7zXZ\0"


class _Manifest(msgspec.Struct, frozen=True):
    """The kept parts of a kernel package.

    Attributes:
        modules: The names of modules in loading order.
        later: Further modules, which the node's init does not load.
        sizes: The size of each file in bytes.
    """

    modules: tuple[str, ...]
    later: tuple[str, ...]
    sizes: dict[str, int]


class KernelImage(NamedTuple):
    """A kernel that is ready to boot.

    Attributes:
        name: The kernel's package, or its path.
        path: The kernel's file.
        modules: The contents of its modules by name, in loading order.
    """

    name: str
    path: str
    modules: Mapping[str, bytes]


def kernel_image(
    host: Host, cache: str, environment: Mapping[str, str], kernel: Kernel = "stable"
) -> KernelImage:
    """Find a kernel for nodes, or download it if the cache has none.

    Args:
        host: Runs apt.
        cache: The cache folder.
        environment: May contain another kernel.
        kernel: The wanted one of Debian's kernels.

    Raises:
        SandboxUnavailableError: There is no kernel, and it cannot be downloaded.
        SandboxError: The kernel lacks a module.
    """
    if own := environment.get(KERNEL_VARIABLE):
        return _own_kernel(own, environment.get(MODULES_VARIABLE))
    name = _FOLDERS[kernel]
    folder = os.path.join(cache, name)
    with locked(cache, name):
        kept = _newest_complete(folder)
        if kept is None:
            kept = _download(host, folder, kernel)
    return _load(kept)


def later_modules(cache: str, environment: Mapping[str, str], release: str) -> dict[str, bytes]:
    """The modules that the node's init does not load, for programs in the node.

    Args:
        cache: The cache folder.
        environment: May name another kernel.
        release: The running kernel's release, as from `uname -r`; one that the cache does not have stands
            for the kernel `stable`.

    Raises:
        SandboxError: The kernel lacks a module.
    """
    if environment.get(KERNEL_VARIABLE):
        return ModuleTree(environment.get(MODULES_VARIABLE) or f"/lib/modules/{release}").collect_later()
    running = (os.path.join(cache, _FOLDERS[each], f"linux-image-{release}.{_key()}") for each in SUITES)
    kept = next(filter(_complete, running), None) or _newest_complete(os.path.join(cache, _FOLDERS["stable"]))
    return _contents(kept, _manifest(kept).later) if kept else {}


def versioned_package(apt_cache_depends: str) -> str | None:
    """The real package behind the meta package, from `apt-cache depends`; None if there is none."""
    found = re.search(r"^\s*\|?Depends: (linux-image-\d\S*)$", apt_cache_depends, re.MULTILINE)
    return found[1] if found else None


def part_packages(apt_cache_depends: str) -> tuple[str, ...]:
    """The packages with the files of a kernel whose own package has none, from `apt-cache depends` of it.

    Debian 14 keeps the kernel, its modules and its lists in separate packages.
    """
    return tuple(
        re.findall(r"^\s*Depends: (linux-(?:base|binary|modules)-\d\S*)$", apt_cache_depends, re.MULTILINE)
    )


def uncompressed_kernel(image: bytes) -> bytes | None:
    """Extract the ELF kernel from a bzImage (Documentation/arch/x86/boot.rst).

    Args:
        image: The content of a `vmlinuz` file.

    Returns:
        The ELF file, or None if the image is of another kind or not compressed with xz.
    """
    if image[0x202:0x206] != b"HdrS":
        return None
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start : start + length]
    if not payload.startswith(_XZ_MAGIC):
        return None
    try:
        return lzma.LZMADecompressor().decompress(payload)
    except lzma.LZMAError:
        return None


def _own_kernel(path: str, modules: str | None) -> KernelImage:
    if not os.path.isfile(path):
        raise SandboxUnavailableError(f"{KERNEL_VARIABLE}={path}: no such file")
    version = os.path.basename(path).partition("-")[2]
    folder = modules or os.path.join("/lib/modules", version)
    if not os.path.isdir(folder):
        raise SandboxUnavailableError(f"{folder}: no kernel modules there; set {MODULES_VARIABLE}")
    return KernelImage(path, path, ModuleTree(folder).collect(WANTED))


def _download(host: Host, folder: str, kernel: Kernel) -> str:
    require_apt(host, _OTHER_KERNEL)
    if kernel not in SUITES:
        return _download_from(host, folder, None)
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".lists-", dir=folder) as lists:
        suite = Suite(host, SUITES[kernel], lists)
        suite.refresh()
        return _download_from(host, folder, suite)


def _download_from(host: Host, folder: str, suite: Suite | None) -> str:
    package = _resolve(host, suite)
    final = os.path.join(folder, f"{package}.{_key()}")
    host.say(f"downloading Debian's kernel {package} (50 to 125 MB; it is unpacked, not installed)")
    with folder_in_the_making(final) as making:
        unpacked = ""
        try:
            for part in part_packages(_depends(host, suite, package)) or (package,):
                unpacked = fetch(host, part, making, suite=suite)
        except SandboxUnavailableError as error:
            raise SandboxUnavailableError(f"{error}\n{_OTHER_KERNEL}") from error
        _keep(unpacked, making)
        shutil.rmtree(unpacked)
    return final


def _depends(host: Host, suite: Suite | None, package: str) -> str:
    options = suite.options if suite else ()
    done = host.run(("apt-cache", *options, "depends", package), None)
    return done.stdout if done.returncode == 0 else ""


def _resolve(host: Host, suite: Suite | None) -> str:
    for attempt in range(2):
        package = versioned_package(_depends(host, suite, META_PACKAGE))
        if package:
            return package
        if attempt or suite or not host.refresh_package_lists():
            break
    raise SandboxUnavailableError(
        f"apt does not know {META_PACKAGE}. On Debian, `sudo apt-get update` fetches its lists; "
        f"elsewhere {_OTHER_KERNEL}"
    )


def _keep(unpacked: str, final: str) -> None:
    """Copy the needed parts of an unpacked kernel package into `final`."""
    images = [  # Debian 14 has the kernel beside its modules
        image
        for place in ("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz")
        for image in glob.glob(os.path.join(glob.escape(unpacked), place))
    ]
    trees = [  # Debian 13 moved the modules under /usr
        tree
        for parent in ("lib", "usr/lib")
        for tree in glob.glob(os.path.join(glob.escape(unpacked), parent, "modules", "*"))
    ]
    if len(images) != 1 or len(trees) != 1:
        raise SandboxUnavailableError(
            f"the kernel package has no kernel at the expected path; {_OTHER_KERNEL}"
        )
    with open(images[0], "rb") as file:
        compressed = file.read()
    contents = {"kernel": uncompressed_kernel(compressed) or compressed}
    tree = ModuleTree(trees[0])
    modules, more = tree.collect(WANTED), tree.collect_later()
    contents |= {f"{name}.ko": data for name, data in (*modules.items(), *more.items())}
    for file_name, data in contents.items():
        with open(os.path.join(final, file_name), "wb") as file:
            file.write(data)
    manifest = _Manifest(tuple(modules), tuple(more), {name: len(data) for name, data in contents.items()})
    with open(os.path.join(final, "manifest.json"), "wb") as file:
        file.write(msgspec.json.encode(manifest))


def _newest_complete(folder: str) -> str | None:
    """The newest kernel in the cache that is complete."""
    kept = glob.glob(os.path.join(glob.escape(folder), f"*.{_key()}"))
    return max(filter(_complete, kept), key=os.path.getmtime, default=None)


def _complete(folder: str) -> bool:
    try:
        sizes = _manifest(folder).sizes
        return all(os.path.getsize(os.path.join(folder, name)) == size for name, size in sizes.items())
    except (OSError, msgspec.MsgspecError):
        return False


def _load(folder: str) -> KernelImage:
    contents = _contents(folder, _manifest(folder).modules)
    package = os.path.basename(folder).rpartition(".")[0]
    return KernelImage(package, os.path.join(folder, "kernel"), contents)


def _contents(folder: str, names: Iterable[str]) -> dict[str, bytes]:
    contents = {}
    for name in names:
        with open(os.path.join(folder, f"{name}.ko"), "rb") as file:
            contents[name] = file.read()
    return contents


def _manifest(folder: str) -> _Manifest:
    with open(os.path.join(folder, "manifest.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=_Manifest)


def _key() -> str:
    return hashlib.sha256(f"{_FORMAT} {' '.join(WANTED + LATER)}".encode()).hexdigest()[:8]
