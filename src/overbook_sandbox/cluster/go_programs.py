"""The programs of a Kubernetes cluster, built once from their Go modules and kept in the cache.

No distribution has packages of them. `go/main.go` links all of them into one binary, whose name selects the
program; the versions are in `go/go.mod`. `KUBEBUILDER_ASSETS` names a folder of existing programs, as usual
for Kubernetes tests.
"""

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from overbook_sandbox.cluster.go_toolchain import go_command
from overbook_sandbox.machine.cache import cache_folder, folder_in_the_making, locked
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.machine.packages import Host, Say, Which

ASSETS_VARIABLE: Final = "KUBEBUILDER_ASSETS"
NAMES: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet")
PREPARE: Final = "overbook sandbox prepare --kubernetes"

_SOURCES: Final = os.path.join(os.path.dirname(__file__), "go")
_BINARY: Final = "kubernetes"
_ALWAYS_IN_ASSETS: Final = ("etcd", "kube-apiserver", "kubectl")
_PROGRESS_SECONDS: Final = 30.0
_TAIL_LINES: Final = 20
_FLAGS: Final = ("-mod=readonly", "-trimpath", "-buildvcs=false")
_FORMAT: Final = 1  # raise it if something else about the build changes


class Programs(NamedTuple):
    """A folder with the programs of a cluster.

    Attributes:
        folder: The folder's path.
    """

    folder: str

    def path(self, name: str) -> str:
        """The path of a program.

        Raises:
            SandboxUnavailableError: The program does not exist.
        """
        path = os.path.join(self.folder, name)
        if not os.access(path, os.X_OK):
            raise SandboxUnavailableError(
                f"{path}: no such program; without {ASSETS_VARIABLE} in the environment "
                f"`{PREPARE}` builds all of them"
            )
        return path


def find(environment: Mapping[str, str] = os.environ) -> Programs:
    """The programs, if they are already built.

    Args:
        environment: May contain a folder of existing programs, and the cache folder.

    Raises:
        SandboxUnavailableError: The programs are not built; the text says which command builds them.
    """
    if assets := environment.get(ASSETS_VARIABLE):
        return _assets(assets)
    folder = _kept(environment)
    if not os.path.isdir(folder):
        raise SandboxUnavailableError(
            f"a test cluster needs Kubernetes' own programs; `{PREPARE}` builds them once "
            f"(about 10 minutes), or set {ASSETS_VARIABLE} to a folder that has them"
        )
    return Programs(os.path.join(folder, "bin"))


def prepare(*, say: Say, environment: Mapping[str, str] = os.environ) -> Programs:
    """The programs, built if necessary.

    Args:
        say: Receives a line for each step.
        environment: As for `find`; Go uses it, too.

    Raises:
        SandboxUnavailableError: The build failed; the text has the end of its log.
    """
    if assets := environment.get(ASSETS_VARIABLE):
        return _assets(assets)
    cache = cache_folder(environment)
    final = _kept(environment)
    with locked(cache, "kubernetes"):
        if not os.path.isdir(final):
            go = go_command(Host(install=False, say=say, which=_on_path(environment)), cache)
            with folder_in_the_making(final) as making:
                binaries = os.path.join(making, "bin")
                os.mkdir(binaries)
                _build(
                    go,
                    os.path.join(binaries, _BINARY),
                    os.path.join(cache, "kubernetes.log"),
                    say,
                    environment,
                )
                for name in NAMES:
                    os.symlink(_BINARY, os.path.join(binaries, name))
    return Programs(os.path.join(final, "bin"))


def kubernetes_version() -> str:
    """The version of Kubernetes that is built, such as `1.36.2`."""
    found = re.search(r"^\s*k8s\.io/kubernetes v(\S+)$", _source("go.mod").decode(), re.MULTILINE)
    if found is None:
        raise ValueError("go.mod requires no k8s.io/kubernetes")
    return found[1]


def _assets(folder: str) -> Programs:
    programs = Programs(os.path.abspath(folder))
    missing = [name for name in _ALWAYS_IN_ASSETS if not os.access(os.path.join(folder, name), os.X_OK)]
    if missing:
        raise SandboxUnavailableError(
            f"{ASSETS_VARIABLE}={folder}: no {', '.join(missing)} there; without the variable "
            f"`{PREPARE}` builds them"
        )
    return programs


def _kept(environment: Mapping[str, str]) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {' '.join(_FLAGS)}".encode())
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update(hashlib.sha256(_source(name)).digest())
    return os.path.join(cache_folder(environment), f"control-plane-{digest.hexdigest()[:12]}")


def _source(name: str) -> bytes:
    with open(os.path.join(_SOURCES, name), "rb") as file:
        return file.read()


def _build(go: str, binary: str, log_path: str, say: Say, environment: Mapping[str, str]) -> None:
    version = kubernetes_version()
    say(f"building Kubernetes {version} and etcd from Go modules with {go}: about 10 minutes on two cores,")
    say("only once, the last minute or two for linking; modules and packages stay in Go's own caches")
    package = "k8s.io/component-base/version"
    major, minor, _ = version.split(".", 2)
    stamps = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    link = " ".join(["-s", "-w", *(f"-X {package}.{field}={value}" for field, value in stamps.items())])
    process = subprocess.Popen(  # noqa: S603 - this package's sources, with a compiler that the user chose
        (go, "build", "-v", *_FLAGS, f"-ldflags={link}", "-o", binary, "."),
        cwd=_SOURCES,
        env={**environment, **_settings()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with process:
        tail = _follow(process, log_path, say)
    if process.returncode:
        raise SandboxUnavailableError(
            "\n  ".join([f"`go build` failed with status {process.returncode}; its last lines:", *tail])
            + f"\nThe whole log is {log_path}. Modules come through GOPROXY; compiled packages stay in Go's "
            f"cache, so that `{PREPARE}` continues there"
        )


def _on_path(environment: Mapping[str, str]) -> Which:
    return lambda command: shutil.which(command, path=environment.get("PATH"))


def _settings() -> dict[str, str]:
    """Fixed settings for Go, in place of the user's own."""
    return {
        "CGO_ENABLED": "0",  # a static binary runs in the emulated node, whatever its C library
        "GO111MODULE": "on",
        "GOARCH": "",
        "GOFLAGS": "",
        "GOOS": "",
        "GOTOOLCHAIN": "local",  # never download another compiler
        "GOWORK": "off",
    }


def _follow(process: "subprocess.Popen[str]", log_path: str, say: Say) -> list[str]:
    """Write a build's output to a log, report the progress, and return the last lines."""
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    started = reported = time.monotonic()
    downloaded = compiled = 0
    with open(log_path, "w", encoding="utf-8") as log:
        for line in process.stdout or ():
            log.write(line)
            tail.append(line.rstrip())
            if line.startswith("go: downloading"):
                downloaded += 1
            else:
                compiled += 1
            now = time.monotonic()
            if now - reported >= _PROGRESS_SECONDS:
                reported = now
                minutes, packages = (now - started) / 60, f"{compiled} of 2,800 packages"
                say(f"{minutes:.1f} min: {downloaded} modules downloaded, {packages} compiled")
    return list(tail)
