"""Overbook in a test cluster: its shipped objects, and the controller as a program on this host.

The controller has the same account and rights as in an installation; only its image is not used. The agent of
a node is :mod:`overbook_sandbox.node.kubernetes_agent`.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import yaml

from overbook.core.api.group import GROUP, NAMESPACE
from overbook.core.api.overcommit import OVERCOMMIT_NAME
from overbook_sandbox.cluster.control_plane import ControlPlane, KubectlError
from overbook_sandbox.cluster.service import Service
from overbook_sandbox.machine.errors import SandboxError

CONTROLLER: Final = "overbook-controller"

_WORKLOADS: Final = ("DaemonSet", "Deployment")
_SERVED_SECONDS: Final = 60.0
_TOKEN_SECONDS: Final = 4 * 3600


def overbook(*words: str) -> list[str]:
    """The command line of an `overbook` command of this installation."""
    return [sys.executable, "-m", "overbook", *words]


def install(cluster: ControlPlane, spec: Mapping[str, Any]) -> None:
    """Apply custom resources, accounts, rights and policies, and an Overcommit object with this spec.

    Args:
        cluster: The control plane.
        spec: The Overcommit object's spec, such as `{"percentage": 150, "mode": "Enforce"}`.

    Raises:
        SandboxError: An object was not accepted.
    """
    _apply(cluster, _manifests("--part", "crds"))
    _wait_until_served(cluster)
    _apply(cluster, [each for each in _manifests() if each["kind"] not in _WORKLOADS])
    _apply(cluster, _manifests("--part", "overcommit"))
    patch = msgspec.json.encode({"spec": dict(spec)}).decode()
    cluster.kubectl("patch", "overcommit", OVERCOMMIT_NAME, "--type=merge", "--patch", patch)


def controller(cluster: ControlPlane) -> Service:
    """The program `overbook controller`, not started yet, with the rights of its account."""
    config = cluster.kubeconfig_for(
        cluster.token(NAMESPACE, CONTROLLER, seconds=_TOKEN_SECONDS), name=CONTROLLER
    )
    words = ("controller", "--kubeconfig", config, "--namespace", NAMESPACE, "--listen", "127.0.0.1:0", "-v")
    return Service(CONTROLLER, overbook(*words), cluster.folder)


def _manifests(*words: str) -> list[dict[str, Any]]:
    done = subprocess.run(overbook("manifests", *words), capture_output=True, check=False, text=True)  # noqa: S603 - no shell; a fixed argv
    if done.returncode:
        raise SandboxError(f"overbook manifests failed: {done.stderr.strip()}")
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def _apply(cluster: ControlPlane, objects: list[dict[str, Any]]) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=msgspec.json.encode(listed))


def _wait_until_served(cluster: ControlPlane) -> None:
    """Wait until the API server serves the new kinds, usually a second or two."""
    deadline = time.monotonic() + _SERVED_SECONDS
    while True:
        try:
            cluster.kubectl("get", f"overcommits.{GROUP},overcommitnodes.{GROUP}", "--output=name")
        except KubectlError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return
