"""Helm is built once from its Go module, since no distribution packages it."""

import functools
import os
import shutil
import subprocess
from typing import Final

import pytest

from overbook_sandbox.cluster.go_programs import find, kubernetes_version
from overbook_sandbox.cluster.go_toolchain import go_command
from overbook_sandbox.machine.cache import cache_folder, folder_in_the_making, locked
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.machine.packages import Host
from tests.docs.reading import ROOT

VERSION: Final = "v3.19.0"


def template(*options: str) -> str:
    """Return what `helm template` renders of the chart, for a cluster of the version under test."""
    chart = str(ROOT / "deploy" / "chart")
    about = ("--namespace", "overbook", "--kube-version", kubernetes_version())
    return _run(program(), "template", "overbook", chart, *about, *options)


def kustomize(folder: str) -> str:
    """Return what `kubectl kustomize` renders."""
    return _run(find().path("kubectl"), "kustomize", folder)


@functools.cache
def program() -> str:
    """Return the path of Helm: the one on PATH, else built into the cache (3 minutes, once)."""
    if ready := shutil.which("helm"):
        return ready
    cache = cache_folder(os.environ)
    final = os.path.join(cache, f"helm-{VERSION}")
    with locked(cache, "helm"):
        if not os.path.isdir(final):
            try:
                _build(go_command(Host(install=False, say=print), cache), final)
            except (SandboxUnavailableError, subprocess.CalledProcessError) as error:
                pytest.skip(f"no helm on PATH, and it cannot be built: {error}")
    return os.path.join(final, "helm")


def _build(go: str, final: str) -> None:
    with folder_in_the_making(final) as making:
        settings = {"GOBIN": making, "CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
        subprocess.run(  # noqa: S603 - our own argv
            (go, "install", "-trimpath", "-ldflags=-s -w", f"helm.sh/helm/v3/cmd/helm@{VERSION}"),
            env={**os.environ, **settings},
            check=True,
            capture_output=True,
            text=True,
        )


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - no shell; the program is ours
    assert done.returncode == 0, done.stderr
    return done.stdout
