"""Which override applies to a pod: the closest one, and among equally close ones always the same."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from overbook.core.api.overcommit import Overcommit
from overbook.core.api.override import ClusterResourceOverride, PodResourceOverride, ResourceOverride, check
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.selectors import LabelSelector


class OverrideSource(msgspec.Struct, frozen=True, gc=False):
    """One override, ready to be used.

    Attributes:
        label: ``Kind/name``, as answers name it.
        settings: what it says.
        selector: which pods it is for; ``None``: all that it can reach.
        problem: why it cannot be used; empty: it can.
    """

    label: str
    settings: PodResourceOverride = PodResourceOverride()
    selector: LabelSelector | None = None
    problem: str = ""


NO_SOURCE: Final = OverrideSource("")
"""There is no override."""


def cluster_source(one: ClusterResourceOverride | Overcommit | None) -> OverrideSource:
    """The cluster's override, :data:`NO_SOURCE` where there is none."""
    if one is None:
        return NO_SOURCE
    settings = one.spec.override if isinstance(one, Overcommit) else one.settings
    return NO_SOURCE if settings is None else _source(f"{one.kind}/{one.metadata.name}", settings)


def namespaced_sources(ones: Iterable[ResourceOverride]) -> tuple[OverrideSource, ...]:
    """A namespace's overrides in the order in which they are tried: by name, as in the original."""
    ordered = sorted(ones, key=lambda one: one.metadata.name)
    return tuple(
        _source(f"{one.kind}/{one.metadata.name}", one.settings, one.spec.pod_selector) for one in ordered
    )


def closest(
    namespaced: tuple[OverrideSource, ...], cluster: OverrideSource, labels: Mapping[str, str] | None
) -> OverrideSource:
    """The override for a pod: the first of its namespace that selects it, else the cluster's.

    One that cannot be used is not passed over: what the closer one was meant to protect would be left to a
    wider one. If it is the selector that is wrong, it counts as selecting every pod.

    Args:
        namespaced: as :func:`namespaced_sources` gives them.
        cluster: the cluster's, or :data:`NO_SOURCE`.
        labels: the pod's.
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
