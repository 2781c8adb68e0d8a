"""The objects in the input that decide about pods: LimitRanges, quotas, classes, overrides, nodes.

They are decoded when a pod needs them, and none of their modules is imported for an input without them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, convert
from overbook.core.overcommit.namespace import outdated_word
from overbook.kube.files.manifests import Document

if TYPE_CHECKING:
    from overbook.core.api.overcommit import Overcommit
    from overbook.core.api.override import ClusterResourceOverride, ResourceOverride
    from overbook.core.kubernetes.limit_range import LimitRange
    from overbook.core.kubernetes.priority import PriorityClass
    from overbook.core.kubernetes.resource_quota import ResourceQuota
    from overbook.core.kubernetes.runtime_class import RuntimeClass
    from overbook.explain.autoscalers import Autoscaler
    from overbook.kube.api.objects import Node

NAMESPACE_UNSET: Final = "default"
_OF_CORE: Final = ("LimitRange", "ResourceQuota", "Node")
_GROUPS: Final[dict[str, str | tuple[str, ...]]] = {
    "PriorityClass": "scheduling.k8s.io/",
    "RuntimeClass": "node.k8s.io/",
    "HorizontalPodAutoscaler": "autoscaling/",
    "Overcommit": "overbook.dev/",
    "ClusterResourceOverride": "operator.autoscaling.openshift.io/",
    "ResourceOverride": ("autoscaling.openshift.io/", "overbook.dev/"),
}


class _Namespace(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()


class ClusterObjects:
    """The objects of the input that decide about pods.

    Attributes:
        namespaces: the metadata of the Namespace objects, by name.
        limit_ranges: the LimitRanges of each namespace, by namespace.
        quotas: the ResourceQuotas, likewise.
        priority_classes: the PriorityClasses.
        runtime_classes: the RuntimeClasses, by name.
        nodes: the Nodes, by name.
        autoscalers: the HorizontalPodAutoscalers.
        overrides: the objects that override requests at admission.
        without_effect: what has no effect in them, a sentence each.
    """

    def __init__(self) -> None:
        self.namespaces: dict[str, ObjectMeta] = {}
        self.limit_ranges: dict[str, list[LimitRange]] = {}
        self.quotas: dict[str, list[ResourceQuota]] = {}
        self.priority_classes: list[PriorityClass] = []
        self.runtime_classes: dict[str, RuntimeClass] = {}
        self.nodes: dict[str, Node] = {}
        self.autoscalers: list[Autoscaler] = []
        self.overrides: list[ClusterResourceOverride | ResourceOverride | Overcommit] = []
        self.without_effect: list[str] = []

    @property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """The labels of the namespaces, by name."""
        return {name: metadata.labels or {} for name, metadata in self.namespaces.items()}

    @property
    def outdated_namespaces(self) -> dict[str, str]:
        """The namespaces that have the switch only as the annotation of earlier versions, with its value."""
        words = {
            name: outdated_word(metadata.labels, metadata.annotations)
            for name, metadata in self.namespaces.items()
        }
        return {name: word for name, word in words.items() if word is not None}

    def without_use(self, *, overriding: bool) -> dict[str, int]:
        """The kinds of objects that decide nothing in the report, and the number of each.

        Args:
            overriding: whether the report is about an override, which needs no priority, overhead or node.
        """
        kinds = (
            {
                "PriorityClass": len(self.priority_classes),
                "RuntimeClass": len(self.runtime_classes),
                "Node": len(self.nodes),
            }
            if overriding
            else {"HorizontalPodAutoscaler": len(self.autoscalers)}
        )
        return {kind: count for kind, count in kinds.items() if count}

    @property
    def of_namespaces(self) -> bool:
        """Whether an object decides about the pods of one namespace and not about those of another."""
        return bool(self.limit_ranges or self.quotas or self.overrides)

    def take(self, document: Document, kind: str) -> bool:
        """Keep an object that decides about pods; whether it is one.

        Raises:
            InvalidInput: the object does not fit its kind.
        """
        version = document.manifest["apiVersion"]
        if kind == "Namespace" and version == "v1":
            metadata = convert(document.manifest, _Namespace, f"{document.where}: Namespace:").metadata
            self.namespaces[metadata.name] = metadata
            return True
        if not (version == "v1" if kind in _OF_CORE else version.startswith(_GROUPS.get(kind, "?"))):
            return False
        from overbook.explain.decode_objects import keep  # noqa: PLC0415 - most inputs have only pods

        try:
            keep(self, document, kind)
        except InvalidInput as error:
            raise error if document.where in str(error) else error.inside(f"{document.where}: ") from error
        return True


def label_of(manifest: Any) -> str:
    """An object as ``namespace/name``, whatever its metadata is."""
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict):
        return f"{NAMESPACE_UNSET}/"
    return f"{metadata.get('namespace') or NAMESPACE_UNSET}/{metadata.get('name') or ''}"
