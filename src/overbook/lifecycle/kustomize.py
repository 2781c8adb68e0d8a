"""The files of ``deploy`` for ``kubectl apply -k``: custom resources, a base, and components to add to it."""

from collections.abc import Iterator

from overbook.core.custom_overcommit import API_VERSION, OVERCOMMIT_NAME
from overbook.lifecycle.installation import Installation
from overbook.lifecycle.labels import Manifest
from overbook.lifecycle.parts import PARTS, Group
from overbook.lifecycle.yaml_text import yaml_text


def kustomize_files(where: Installation) -> Iterator[tuple[str, str]]:
    """Path below ``deploy`` and content of each file."""
    groups: dict[Group, list[str]] = {}
    for part in PARTS:
        groups.setdefault(part.group, []).append(f"{part.name}.yaml")
        yield f"{_folder(part.group)}/{part.name}.yaml", yaml_text(part.objects(where))
    for group, names in groups.items():
        yield f"{_folder(group)}/kustomization.yaml", yaml_text([_kustomization(group, names)])


def _folder(group: Group) -> str:
    return group if group in {"crds", "base"} else f"components/{group}"


def _kustomization(group: Group, names: list[str]) -> Manifest:
    if group in {"crds", "base"}:
        version, kind = "kustomize.config.k8s.io/v1beta1", "Kustomization"
    else:
        version, kind = "kustomize.config.k8s.io/v1alpha1", "Component"
    found: Manifest = {"apiVersion": version, "kind": kind, "resources": names}
    if group == "last-resort":
        # The right and the wish for it are one decision.
        change = {
            "apiVersion": API_VERSION,
            "kind": "Overcommit",
            "metadata": {"name": OVERCOMMIT_NAME},
            "spec": {"relief": {"lastResort": "Delete"}},
        }
        found["patches"] = [{"patch": yaml_text([change])}]
    return found
