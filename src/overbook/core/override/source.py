"""Which override applies to a pod: its namespace's, else the cluster's; of several always the same one."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from overbook.core.api.overcommit import Overcommit
from overbook.core.api.override import ClusterResourceOverride, PodResourceOverride, ResourceOverride, check
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.selectors import LabelSelector


class OverrideSource(msgspec.Struct, frozen=True, gc=False):
    """An override, ready to be used.

    Attributes:
        label: the object as ``Kind/name``, for texts.
        settings: the override's settings.
        selector: selects the pods that the override is for; ``None``: all of its namespace or cluster.
        problem: why the override cannot be used; empty: it can.
    """

    label: str
    settings: PodResourceOverride = PodResourceOverride()
    selector: LabelSelector | None = None
    problem: str = ""


NO_SOURCE: Final = OverrideSource("")
"""Stands for the absence of an override."""


def cluster_source(one: ClusterResourceOverride | Overcommit | None) -> OverrideSource:
    """The cluster's override; :data:`NO_SOURCE` where there is none."""
    if one is None:
        return NO_SOURCE
    settings = one.spec.override if isinstance(one, Overcommit) else one.settings
    return NO_SOURCE if settings is None else _source(f"{one.kind}/{one.metadata.name}", settings)


def namespaced_sources(ones: Iterable[ResourceOverride]) -> tuple[OverrideSource, ...]:
    """A namespace's overrides in the order in which they are tried: by name, as in OpenShift's webhook."""
    ordered = sorted(ones, key=lambda one: one.metadata.name)
    return tuple(
        _source(f"{one.kind}/{one.metadata.name}", one.settings, one.spec.pod_selector) for one in ordered
    )


def closest(
    namespaced: tuple[OverrideSource, ...], cluster: OverrideSource, labels: Mapping[str, str] | None
) -> OverrideSource:
    """The override for a pod: the first of its namespace that selects it, else the cluster's.

    An override that is not valid is not skipped: a wider override would change the pods that the closer one
    was meant to protect. With an invalid selector it counts as selecting every pod.

    Args:
        namespaced: the result of :func:`namespaced_sources`.
        cluster: the cluster's override, or :data:`NO_SOURCE`.
        labels: the pod's labels.
    """
    for source in namespaced:
        if source.selector is None or source.selector.matches(labels):
            return source
    return cluster


def _source(
    label: str, settings: PodResourceOverride, selector: LabelSelector | None = None
) -> OverrideSource:
    try:
        check(settings)
    except InvalidInput as error:
        return OverrideSource(label, settings, selector, str(error))
    try:
        if selector is not None:
            selector.check()
    except InvalidInput as error:
        return OverrideSource(label, settings, None, str(error.inside("podSelector.")))
    return OverrideSource(label, settings, selector)
