"""CRI-O for nodes, and crictl, built once from their Go modules and kept in the cache: Debian has neither.

The versions are in `go/crio/go.mod` and `go/crictl/go.mod`. The programs that CRI-O needs, conmon and crun,
are Debian's; see :mod:`overbook_sandbox.node.node_programs`.
"""

import glob
import hashlib
import os
from collections.abc import Mapping
from importlib.resources import files
from typing import Final, NamedTuple

from overbook_sandbox.cluster.go_toolchain import go_command
from overbook_sandbox.machine.cache import cache_folder, folder_in_the_making, locked
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.machine.packages import Host

_MODULE: Final = "github.com/cri-o/cri-o"
_PACKAGES: Final = {"crio": f"{_MODULE}/cmd/crio", "crictl": "sigs.k8s.io/cri-tools/cmd/crictl"}
"""The package of each program, which is also its module's folder: in one module they do not compile."""
_TAGS: Final = "containers_image_openpgp,exclude_graphdriver_btrfs,exclude_graphdriver_devicemapper"
"""With these, CRI-O needs no library in C."""
_SETTINGS: Final = (
    *("env", "CGO_ENABLED=0", "GO111MODULE=on", "GOFLAGS=", "GOTOOLCHAIN=local", "GOWORK=off"),
    *("GOARCH=", "GOOS="),
)
_PINNS: Final = "pinns"
"""CRI-O's helper for namespaces, in C."""
_C_OPTIONS: Final = ("-std=c99", "-O2", "-static", '-DVERSION="sandbox"')
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


def find(environment: Mapping[str, str] = os.environ) -> Crio:
    """CRI-O, if it is already built.

    Args:
        environment: May contain the cache folder.

    Raises:
        SandboxUnavailableError: It is not built.
    """
    found = Crio(_final(cache_folder(environment)))
    if not os.path.isdir(found.folder):
        raise SandboxUnavailableError(
            "there is no CRI-O; `overbook sandbox prepare --kubernetes` builds it once (about four minutes)"
        )
    return found


def prepare(host: Host, cache: str) -> Crio:
    """CRI-O, built if necessary.

    Args:
        host: Runs Go and the C compiler.
        cache: The cache folder.

    Raises:
        SandboxUnavailableError: A compiler is missing, or the build failed.
    """
    final = _final(cache)
    with locked(cache, "crio"):
        if not os.path.isdir(final):
            _build(host, go_command(host, cache), final)
    return Crio(final)


def _build(host: Host, go: str, final: str) -> None:
    compiler = host.which("cc")
    if compiler is None:
        raise SandboxUnavailableError(f"a node with CRI-O needs a C compiler, cc, for CRI-O's {_PINNS}")
    host.say("building CRI-O from its Go module: about four minutes on two cores, only once")
    with folder_in_the_making(final) as making:
        for name, package in _PACKAGES.items():
            module = os.path.join(making, f"{name}-module")
            os.mkdir(module)
            for file_name in _FILES:
                with open(os.path.join(module, file_name), "wb") as file:
                    file.write(_source(name, file_name))
            build = (*_SETTINGS, go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false")
            options = ("-ldflags=-s -w", f"-tags={_TAGS}", "-o", os.path.join(making, name))
            _run(host, (*build, *options, package), module)
        listed = (*_SETTINGS, go, "list", "-m", "-f", "{{.Dir}}", _MODULE)
        source = _run(host, listed, os.path.join(making, "crio-module")).strip()
        parts = sorted(glob.glob(os.path.join(glob.escape(source), _PINNS, "src", "*.c")))
        _run(host, (compiler, *_C_OPTIONS, "-o", os.path.join(making, _PINNS), *parts), making)


def _run(host: Host, argv: tuple[str, ...], folder: str) -> str:
    done = host.run(argv, folder)
    if done.returncode:
        tail = "\n  ".join(done.stdout.strip().splitlines()[-20:])
        raise SandboxUnavailableError(f"CRI-O cannot be built:\n  {tail}")
    return done.stdout


def _source(program: str, file_name: str) -> bytes:
    return (files("overbook_sandbox.node") / "go" / program / file_name).read_bytes()


def _final(cache: str) -> str:
    digest = hashlib.sha256(f"{_PACKAGES} {_TAGS} {_C_OPTIONS}".encode())
    for program in _PACKAGES:
        for file_name in _FILES:
            digest.update(_source(program, file_name))
    return os.path.join(cache, "crio", digest.hexdigest()[:12])
