"""Policies from files: overrides, namespaces and LimitRanges, as manifests of any supported kind."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from overbook.core.api.group import API_VERSION
from overbook.core.api.overcommit import Overcommit
from overbook.core.api.override import (
    CLUSTER_GROUP,
    NAMESPACED_GROUP,
    ClusterResourceOverride,
    ResourceOverride,
    check,
    resource_override_type,
)
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.admissibility import constraints
from overbook.core.kubernetes.limit_range import LimitRange
from overbook.core.kubernetes.pod import convert
from overbook.core.override.switches import NamespaceSwitches
from overbook.core.override.unknown_fields import ONLY_NAMES, without_effect
from overbook.kube.files.manifests import Document, read_documents_of
from overbook.kube.files.sources import read_sources
from overbook.webhook.policies import Origin, Policies

DEFAULT_NAMESPACE: Final = "default"


def read_documents(paths: list[str]) -> Iterable[Document]:
    """All objects in files and directories.

    Raises:
        InvalidInput: a file is malformed.
        OSError: a file cannot be read.
    """
    return (document for source in read_sources(paths) for document in read_documents_of(source))


class TakenOverrides(msgspec.Struct, frozen=True):
    """The overrides among some objects.

    Attributes:
        number: how many overrides have an effect.
        notes: what in them has no effect, a sentence each: objects of another name, unknown fields.
    """

    number: int
    notes: tuple[str, ...]


def take(policies: Policies, documents: Iterable[Document]) -> TakenOverrides:
    """Add the objects that concern overrides to the policies, and ignore all others.

    Raises:
        InvalidInput: an object is not of its kind's type, or an override or LimitRange cannot be used.
    """
    namespaced: Origin = "Own"
    cluster: Origin = "Own"
    overrides = 0
    notes: list[str] = []
    for document in documents:
        manifest = document.manifest
        if not isinstance(manifest, dict):
            continue  # a pod of a long list, which has been decoded already
        try:
            one = _decoded(manifest)
        except InvalidInput as error:
            raise error.inside(f"{document.where}: {manifest.get('kind')}: ") from error
        notes += without_effect(one, manifest, document.where)
        match one:
            case ClusterResourceOverride() | Overcommit() if one.metadata.name != ONLY_NAMES[one.kind]:
                continue
            case NamespaceSwitches():
                policies.set_namespace(one.metadata.name, one)
            case LimitRange():
                policies.set_limit_range(_namespace(one), one.metadata.name, one)
            case ResourceOverride():
                origin: Origin = "OpenShift" if one.api_version.startswith(NAMESPACED_GROUP) else "Own"
                policies.set_override(origin, _namespace(one), one.metadata.name, one)
                namespaced = "OpenShift" if origin == "OpenShift" else namespaced
            case ClusterResourceOverride():
                policies.set_cluster_override(one)
                cluster = "OpenShift"
            case Overcommit():
                policies.set_overcommit(one)
        overrides += isinstance(one, ResourceOverride | ClusterResourceOverride) or (
            isinstance(one, Overcommit) and one.spec.override is not None
        )
    policies.set_origins(namespaced=namespaced, cluster=cluster)
    return TakenOverrides(overrides, tuple(notes))


def _decoded(manifest: dict[str, Any]) -> Any:
    """The decoded and checked object; ``None`` for other kinds."""
    match manifest.get("apiVersion"), manifest.get("kind"):
        case "v1", "Namespace":
            return convert(manifest, NamespaceSwitches, "")
        case "v1", "LimitRange":
            limit_range = convert(manifest, LimitRange, "")
            constraints([limit_range])
            return limit_range
        case (version, "ResourceOverride") if version in (API_VERSION, f"{NAMESPACED_GROUP}/v1"):
            override = convert(manifest, resource_override_type(version), "")
            check(override.settings)
            if override.spec.pod_selector is not None:
                override.spec.pod_selector.check()
            return override
        case version, "ClusterResourceOverride" if version == f"{CLUSTER_GROUP}/v1":
            cluster_override = convert(manifest, ClusterResourceOverride, "")
            check(cluster_override.settings)
            return cluster_override
        case version, "Overcommit" if version == API_VERSION:
            overcommit = convert(manifest, Overcommit, "")
            if overcommit.spec.override is not None:
                check(overcommit.spec.override)
            return overcommit
    return None


def _namespace(one: LimitRange | ResourceOverride) -> str:
    return one.metadata.namespace or DEFAULT_NAMESPACE
