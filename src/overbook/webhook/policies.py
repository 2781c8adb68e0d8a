"""The policies, computed from the objects in the cluster."""

from collections.abc import Collection
from typing import Final, Literal, TypeVar

from overbook.core.api.overcommit import Overcommit
from overbook.core.api.override import ClusterResourceOverride, Mode, ResourceOverride
from overbook.core.kubernetes.limit_range import LimitRange
from overbook.core.kubevirt import vm
from overbook.core.override.admission import (
    UNKNOWN,
    ClusterPolicy,
    NamespacePolicy,
    namespace_policy,
)
from overbook.core.override.source import cluster_source, namespaced_sources
from overbook.core.override.switches import NamespaceSwitches

T = TypeVar("T")
Origin = Literal["OpenShift", "Own"]

KUBEVIRT_CONTROLLERS: Final = frozenset(vm.KUBEVIRT_CONTROLLERS)


class Policies:
    """The present objects, and for each namespace the policy that is computed from them.

    A policy is immutable. It is computed for the first pod of its namespace, and kept until one of its
    objects changes.

    Args:
        mode: ``Observe`` changes no pod, also if the ``Overcommit`` has ``Enforce``.
        virtual_machine_makers: the users that may create pods of virtual machines; ``None``: not known.

    Attributes:
        cluster: the policy of the whole cluster.
    """

    def __init__(
        self,
        mode: Mode = "Enforce",
        virtual_machine_makers: frozenset[str] | None = KUBEVIRT_CONTROLLERS,
    ) -> None:
        self._mode: Mode = mode
        self._makers = virtual_machine_makers
        self._namespaces: dict[str, NamespaceSwitches] = {}
        self._ranges: dict[str, dict[str, LimitRange]] = {}
        self._overrides: dict[Origin, dict[str, dict[str, ResourceOverride]]] = {"OpenShift": {}, "Own": {}}
        self._cluster_override: ClusterResourceOverride | None = None
        self._overcommit: Overcommit | None = None
        self._overcommit_served = False
        self._namespaced_origin: Origin = "Own"
        self._cluster_origin: Origin = "Own"
        self._known: dict[str, NamespacePolicy] = {}
        self.cluster = self._cluster()

    def of(self, namespace: str) -> NamespacePolicy:
        """A namespace's policy; pods of an unknown namespace are not changed."""
        return self._known.get(namespace) or self._compute(namespace)

    def knows(self, namespace: str) -> bool:
        """Whether there is such a namespace."""
        return namespace in self._namespaces

    def limit_ranges(self, namespace: str) -> Collection[LimitRange]:
        """A namespace's LimitRanges."""
        return self._ranges.get(namespace, {}).values()

    def set_namespace(self, name: str, one: NamespaceSwitches | None) -> None:
        """Store a namespace that was added or changed, or remove it (``None``)."""
        _put(self._namespaces, name, one)
        self._known.pop(name, None)

    def set_limit_range(self, namespace: str, name: str, one: LimitRange | None) -> None:
        """Store or (``None``) remove a LimitRange."""
        _put(self._ranges.setdefault(namespace, {}), name, one)
        self._known.pop(namespace, None)

    def set_override(self, origin: Origin, namespace: str, name: str, one: ResourceOverride | None) -> None:
        """Store or (``None``) remove a namespaced override."""
        _put(self._overrides[origin].setdefault(namespace, {}), name, one)
        self._known.pop(namespace, None)

    def set_cluster_override(self, one: ClusterResourceOverride | None) -> None:
        """Store or (``None``) remove OpenShift's ``ClusterResourceOverride``."""
        self._cluster_override = one
        self.cluster = self._cluster()

    def set_overcommit(self, one: Overcommit | None) -> None:
        """Store or (``None``) remove the ``Overcommit``; its mode counts even if its override is not used."""
        self._overcommit = one
        self.cluster = self._cluster()

    def set_overcommit_served(self) -> None:
        """Note that the cluster has this kind: from now on no object, or no usable one, means ``Observe``."""
        self._overcommit_served = True
        self.cluster = self._cluster()

    def set_origins(self, *, namespaced: Origin, cluster: Origin) -> None:
        """Choose the kinds that are used: OpenShift's if they exist, else Overbook's."""
        self._namespaced_origin, self._cluster_origin = namespaced, cluster
        self._known.clear()
        self.cluster = self._cluster()

    def _compute(self, namespace: str) -> NamespacePolicy:
        switches = self._namespaces.get(namespace)
        if switches is None:
            return UNKNOWN  # not kept: the number of names that do not exist is unlimited
        opted_in = switches.opted_in
        policy = self._known[namespace] = namespace_policy(
            namespace,
            enabled=opted_in.enabled,
            switch=opted_in.switch,
            run_level=opted_in.run_level,
            overrides=namespaced_sources(
                self._overrides[self._namespaced_origin].get(namespace, {}).values()
            ),
            ranges=self.limit_ranges(namespace),
        )
        return policy

    def _cluster(self) -> ClusterPolicy:
        overcommit = self._overcommit
        without: Mode = "Observe" if self._overcommit_served else "Enforce"
        observed = "Observe" in (self._mode, overcommit.spec.mode if overcommit else without)
        return ClusterPolicy(
            override=cluster_source(
                self._cluster_override if self._cluster_origin == "OpenShift" else overcommit
            ),
            mode="Observe" if observed else "Enforce",
            virtual_machine_makers=self._makers,
        )


def _put(objects: dict[str, T], name: str, one: T | None) -> None:
    if one is None:
        objects.pop(name, None)
    else:
        objects[name] = one
