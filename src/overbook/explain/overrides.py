"""The overrides in the input, applied to the pods of plain ``explain`` as at admission."""

from typing import Any

from overbook.core.api.overcommit import OVERCOMMIT_NAME, Overcommit
from overbook.core.api.override import (
    CLUSTER_NAME,
    NAMESPACED_GROUP,
    ClusterResourceOverride,
    ResourceOverride,
    check,
    resource_override_type,
)
from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.override.admission import (
    ENABLED_LABEL,
    RUN_LEVEL_LABEL,
    SWITCH_ANNOTATION,
    ClusterPolicy,
    NamespacePolicy,
    admit,
    namespace_policy,
)
from overbook.core.override.override import apply
from overbook.core.override.reasons import class_change, class_words
from overbook.core.override.source import cluster_source, namespaced_sources
from overbook.core.override.texts import left_out, sentence
from overbook.explain.cluster_objects import NAMESPACE_UNSET, ClusterObjects
from overbook.explain.report import Warned


class PlainOverrides:
    """The overrides of an input. A namespace that is not in it counts as one that has enabled them.

    Args:
        objects: the objects of the input.
    """

    def __init__(self, objects: ClusterObjects) -> None:
        self._objects = objects
        self._namespaced: dict[str, list[ResourceOverride]] = {}
        theirs: list[ResourceOverride] = []
        own: list[ResourceOverride] = []
        cluster: ClusterResourceOverride | None = None
        overcommit: Overcommit | None = None
        for decoded in objects.overrides:
            match decoded:
                case ResourceOverride() as one:
                    (theirs if one.api_version.startswith(NAMESPACED_GROUP) else own).append(one)
                case ClusterResourceOverride() as one if one.metadata.name == CLUSTER_NAME:
                    cluster = one
                case Overcommit() as one if one.metadata.name == OVERCOMMIT_NAME:
                    overcommit = one
        for one in theirs or own:
            self._namespaced.setdefault(one.metadata.namespace or NAMESPACE_UNSET, []).append(one)
        observed = overcommit is not None and overcommit.spec.mode == "Observe"
        self._cluster = ClusterPolicy(
            override=cluster_source(cluster or overcommit), mode="Observe" if observed else "Enforce"
        )
        self._known: dict[str, NamespacePolicy] = {}

    def applied(self, pod: Pod) -> tuple[Pod, list[Warned]]:
        """The pod after the override that applies to it, and a note of what was changed."""
        namespace = pod.metadata.namespace or NAMESPACE_UNSET
        decided = admit(pod, self._policy(namespace), self._cluster)
        if decided.outcome in ("Inadmissible", "BrokenOverride"):
            return pod, [Warned("NotOverridden", "Note", f"{decided.source.label}: {decided.detail}")]
        if decided.outcome not in ("Overridden", "Observed") or not decided.override.changes:
            return pod, []
        changes = "; ".join(
            [
                *(sentence(one, named=True) for one in decided.override.changes),
                *map(left_out, decided.left_out),
            ]
        )
        if decided.outcome == "Observed":
            return pod, [
                Warned(
                    "NotOverridden", "Note", f"{decided.source.label} only observes; it would set {changes}"
                )
            ]
        lost = class_words(*class_change(pod, decided.override))
        changes = f"{changes}; {lost}" if lost else changes
        assumed = "" if namespace in self._objects.namespaces else f", if namespace {namespace} enables it"
        note = Warned(
            "Overridden", "Note", f"{decided.source.label} changes it at admission{assumed}: {changes}"
        )
        return apply(pod, decided.override.changes), [note]

    def _policy(self, name: str) -> NamespacePolicy:
        known = self._known.get(name)
        if known is None:
            metadata = self._objects.namespaces.get(name)
            known = self._known[name] = namespace_policy(
                name,
                enabled="true" if metadata is None else (metadata.labels or {}).get(ENABLED_LABEL),
                run_level=None if metadata is None else (metadata.labels or {}).get(RUN_LEVEL_LABEL),
                switch=None if metadata is None else (metadata.annotations or {}).get(SWITCH_ANNOTATION),
                overrides=namespaced_sources(self._namespaced.get(name, ())),
                ranges=self._objects.limit_ranges.get(name, ()),
            )
        return known


def decoded_override(manifest: Any, where: str) -> ClusterResourceOverride | ResourceOverride | Overcommit:
    """The decoded and checked override of a manifest of one of the three kinds.

    Raises:
        InvalidInput: it does not fit its kind, or cannot be used.
    """
    kind = manifest["kind"]
    if kind == "Overcommit":
        overcommit = convert(manifest, Overcommit, where)
        if overcommit.spec.override is not None:
            check(overcommit.spec.override)
        return overcommit
    if kind == "ClusterResourceOverride":
        cluster = convert(manifest, ClusterResourceOverride, where)
        check(cluster.settings)
        return cluster
    one = convert(manifest, resource_override_type(str(manifest.get("apiVersion"))), where)
    check(one.settings)
    if one.spec.pod_selector is not None:
        one.spec.pod_selector.check()
    return one
