"""Tests install the shipped objects into a cluster."""

from overbook.deploy.installation import Installation, Manifest
from overbook.deploy.parts import PARTS
from overbook.deploy.yaml_text import yaml_text
from overbook_sandbox.cluster.control_plane import ControlPlane, KubectlError
from tests.waiting import wait_for

_KINDS = ",".join(
    f"{plural}.overbook.dev" for plural in ("overcommits", "overcommitnodes", "resourceoverrides")
)


def install(cluster: ControlPlane, *groups: str) -> Installation:
    """Install custom resources, namespace, accounts, rights, policies and an Overcommit; no pods are started.

    Args:
        cluster: where.
        groups: of parts, beside those that everyone has.
    """
    where = Installation()
    apply_manifests(cluster, [each for part in PARTS if part.group == "crds" for each in part.objects(where)])
    wait_for(lambda: _served(cluster), "the custom resources are served")
    wanted = [
        each
        for part in PARTS
        if part.group in {"base", "overcommit", *groups}
        for each in part.objects(where)
    ]
    apply_manifests(cluster, [each for each in wanted if each["kind"] not in {"DaemonSet", "Deployment"}])
    return where


def apply_manifests(cluster: ControlPlane, objects: list[Manifest]) -> None:
    """Apply objects; a warning is an error, as it should be for what is shipped."""
    apply = ("apply", "--server-side", "--force-conflicts", "--warnings-as-errors")
    manager = ("--field-manager=test-installation", "-f", "-")
    cluster.kubectl(*apply, *manager, stdin=yaml_text(objects))


def _served(cluster: ControlPlane) -> bool:
    """Return whether the API server serves Overbook's kinds; discovery follows within a second."""
    try:
        cluster.kubectl("get", _KINDS, "--output=name")
    except KubectlError:
        return False
    return True
