"""CRI-O for nodes, built once from its Go module and kept in the cache: Debian has no package of it.

`crio_modules/go.mod` has the versions. CRI-O's programs conmon and crun are Debian's; see
:mod:`overbook_sandbox.node.node_programs`.
"""

import glob
import hashlib
import os
from importlib.resources import files
from typing import Final, NamedTuple

from overbook_sandbox.cluster.go_toolchain import go_command
from overbook_sandbox.machine.cache import folder_in_the_making, locked
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.machine.packages import Host

_MODULE: Final = "github.com/cri-o/cri-o"
_PACKAGES: Final = (f"{_MODULE}/cmd/crio", "sigs.k8s.io/cri-tools/cmd/crictl")
_TAGS: Final = "containers_image_openpgp,exclude_graphdriver_btrfs,exclude_graphdriver_devicemapper"
"""With these CRI-O needs no library in C: it checks no signatures with GPG, and has fewer kinds of storage."""
_SETTINGS: Final = (
    *("env", "CGO_ENABLED=0", "GO111MODULE=on", "GOFLAGS=", "GOTOOLCHAIN=local", "GOWORK=off"),
    *("GOARCH=", "GOOS="),
)
_PINNS: Final = "pinns"
"""CRI-O's helper for namespaces, in C."""
_NAMES: Final = ("crio", "crictl", _PINNS)
_FILES: Final = ("go.mod", "go.sum")


class Crio(NamedTuple):
    """The folder of CRI-O's programs.

    Attributes:
        folder: The folder with crio, crictl and pinns.
    """

    folder: str

    def path(self, program: str) -> str:
        """The path of a program."""
        return os.path.join(self.folder, program)


def crio(host: Host, cache: str) -> Crio:
    """Find CRI-O, or build it if the cache has none: about four minutes on two cores.

    Args:
        host: Runs Go and the C compiler.
        cache: The cache folder.

    Raises:
        SandboxUnavailableError: A compiler is missing, or the build failed.
    """
    contents = {
        name: (files("overbook_sandbox.node") / "crio_modules" / name).read_bytes() for name in _FILES
    }
    final = os.path.join(cache, "crio", _key(contents))
    with locked(cache, "crio"):
        if not all(os.access(os.path.join(final, name), os.X_OK) for name in _NAMES):
            _build(host, go_command(host, cache), contents, final)
    return Crio(final)


def _build(host: Host, go: str, contents: dict[str, bytes], final: str) -> None:
    compiler = host.which("cc")
    if compiler is None:
        raise SandboxUnavailableError(f"a node with CRI-O needs a C compiler, cc, for CRI-O's {_PINNS}")
    host.say("building CRI-O from its Go module: about four minutes on two cores, only once")
    with folder_in_the_making(final) as making:
        for name, data in contents.items():
            with open(os.path.join(making, name), "wb") as file:
                file.write(data)
        build = (*_SETTINGS, go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w")
        _run(host, (*build, f"-tags={_TAGS}", "-o", making, *_PACKAGES), making)
        source = _run(host, (*_SETTINGS, go, "list", "-m", "-f", "{{.Dir}}", _MODULE), making).strip()
        parts = sorted(glob.glob(os.path.join(glob.escape(source), _PINNS, "src", "*.c")))
        options = ("-std=c99", "-O2", "-static", "-D_GNU_SOURCE", '-DVERSION="sandbox"')
        _run(host, (compiler, *options, "-o", os.path.join(making, _PINNS), *parts), making)


def _run(host: Host, argv: tuple[str, ...], folder: str) -> str:
    done = host.run(argv, folder)
    if done.returncode:
        tail = "\n  ".join(done.stdout.strip().splitlines()[-20:])
        raise SandboxUnavailableError(f"CRI-O cannot be built:\n  {tail}")
    return done.stdout


def _key(contents: dict[str, bytes]) -> str:
    digest = hashlib.sha256(f"{_PACKAGES} {_TAGS}".encode())
    for data in contents.values():
        digest.update(data)
    return digest.hexdigest()[:12]
