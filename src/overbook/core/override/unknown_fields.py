"""What has no effect in an override's manifest: fields that its kind does not have, a name that is not read.

The API server drops unknown fields without a word, so a percentage one level too high has no effect.
"""

import difflib
import types
from collections.abc import Iterator, Mapping
from typing import Any, Final, Union, get_args, get_origin

import msgspec

from overbook.core.api.overcommit import OVERCOMMIT_NAME, Overcommit
from overbook.core.api.override import (
    CLUSTER_NAME,
    ClusterResourceOverride,
    OpenShiftPodResourceOverride,
    ResourceOverride,
)

ONLY_NAMES: Final = {"ClusterResourceOverride": CLUSTER_NAME, "Overcommit": OVERCOMMIT_NAME}
"""The only name that counts of the kinds of which a cluster has one object."""
_TOP: Final = frozenset({"apiVersion", "kind", "metadata", "status"})
_DEEPEST: Final = 6
_LONGEST: Final = 8
"""The most unknown fields that are named."""


def without_effect(one: object, manifest: Mapping[str, Any], where: str) -> list[str]:
    """A sentence for each thing in an override that has no effect; other objects have none.

    Args:
        one: the decoded object.
        manifest: its manifest.
        where: the place of the manifest.
    """
    if not isinstance(one, ResourceOverride | ClusterResourceOverride | Overcommit):
        return []
    label = f"{where}: {one.kind}/{one.metadata.name}"
    sentences = [f"{label}: {text}" for text in (*unknown_fields(manifest, type(one)), *not_honoured(one))]
    only = ONLY_NAMES.get(one.kind, one.metadata.name)
    if one.metadata.name != only:
        sentences.append(f"{label} has no effect: only the one named {only} counts")
    return sentences


def not_honoured(one: ResourceOverride | ClusterResourceOverride | Overcommit) -> Iterator[str]:
    """A sentence for each setting of OpenShift's kinds that Overbook does not honour, with the remedy."""
    settings = None if isinstance(one, Overcommit) else one.settings
    if isinstance(settings, OpenShiftPodResourceOverride) and settings.force_selinux_relabel:
        yield (
            "forceSelinuxRelabel is not honoured: no pod gets the SELinux type spc_t, which would let it out "
            "of its confinement; mount large volumes with seLinuxChangePolicy or ReadWriteOncePod instead"
        )
    if isinstance(one, ClusterResourceOverride) and one.spec.deployment_overrides:
        yield (
            "deploymentOverrides is not honoured: it is about the pods of OpenShift's webhook; set "
            "nodeSelector, tolerations and replicas in the Deployment overbook-webhook or the chart"
        )


def unknown_fields(manifest: Mapping[str, Any], kind: type[msgspec.Struct]) -> list[str]:
    """A sentence for each field of the manifest's spec that its kind does not have.

    Args:
        manifest: the parsed object.
        kind: the struct that it is decoded into.
    """
    known = list(_known(kind, ""))
    found = [path for path in _unknown(manifest, kind, "") if path.partition(".")[0] not in _TOP]
    sentences = [
        f"{path} is no field of this kind and has no effect; {_meant(path, known)}" for path in found
    ]
    if len(sentences) > _LONGEST:
        sentences[_LONGEST:] = [f"{len(sentences) - _LONGEST} more fields are unknown"]
    return sentences


def _unknown(value: Mapping[str, Any], struct: type[msgspec.Struct], path: str) -> Iterator[str]:
    fields = _fields(struct)
    for name, inner in value.items():
        if not path and name in _TOP:
            continue
        if name not in fields:
            yield from _leaves(inner, f"{path}{name}")
            continue
        below = fields[name]
        if below is not None and isinstance(inner, Mapping):
            yield from _unknown(inner, below, f"{path}{name}.")


def _leaves(value: Any, path: str) -> Iterator[str]:
    """The paths of the fields below one that is not known: these are what was meant to have an effect."""
    if isinstance(value, Mapping) and value and path.count(".") < _DEEPEST:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}")
    else:
        yield path


def _known(struct: type[msgspec.Struct], path: str) -> Iterator[str]:
    """The paths of all fields below ``spec``."""
    for name, inner in _fields(struct).items():
        if not path and name in _TOP:
            continue
        yield f"{path}{name}"
        if inner is not None:
            yield from _known(inner, f"{path}{name}.")


def _fields(struct: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct] | None]:
    """The fields of a struct by their name in the API, each with the struct that it holds, if any."""
    return {field.encode_name: _struct_in(field.type) for field in msgspec.structs.fields(struct)}


def _struct_in(annotation: Any) -> type[msgspec.Struct] | None:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(filter(None, map(_struct_in, get_args(annotation))), None)
    is_struct = isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)
    return annotation if is_struct else None


def _meant(path: str, known: list[str]) -> str:
    """Which field was probably meant: the same name elsewhere, else the name that is most alike."""
    name = path.rpartition(".")[2]
    by_name: dict[str, str] = {}
    for one in known:
        by_name.setdefault(one.rpartition(".")[2], one)
    if name in by_name:
        return f"its place is {by_name[name]}"
    lowered = {each.lower(): each for each in by_name}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"did you mean {by_name[lowered[close[0]]]}?"
    return f"the fields are {', '.join(one for one in known if one.endswith('Percent')) or ', '.join(known)}"
