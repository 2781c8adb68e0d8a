"""The objects that decide about pods, decoded and checked when they are read."""

from overbook.core.kubernetes.admissibility import constraints
from overbook.core.kubernetes.limit_range import LimitRange
from overbook.core.kubernetes.pod import ObjectMeta, convert
from overbook.core.kubernetes.priority import PriorityClass
from overbook.core.kubernetes.resource_quota import ResourceQuota
from overbook.core.kubernetes.resources import amounts
from overbook.core.kubernetes.runtime_class import RuntimeClass
from overbook.core.override.unknown_fields import without_effect
from overbook.explain.autoscalers import Autoscaler
from overbook.explain.cluster_objects import NAMESPACE_UNSET, ClusterObjects
from overbook.explain.overrides import decoded_override
from overbook.kube.api.objects import Node
from overbook.kube.files.manifests import Document


def keep(objects: ClusterObjects, document: Document, kind: str) -> None:
    """Decode an object of one of the kinds that decide about pods, and keep it.

    Args:
        objects: where it is kept.
        document: the object.
        kind: its kind.

    Raises:
        InvalidInput: the object does not fit its kind, or has a quantity that the API server refuses.
    """
    manifest = document.manifest
    where = f"{document.where}: {kind}:"
    match kind:
        case "ClusterResourceOverride" | "ResourceOverride" | "Overcommit":
            one = decoded_override(manifest, where)
            objects.overrides.append(one)
            objects.without_effect += without_effect(one, manifest, document.where)
        case "LimitRange":
            limit_range = convert(manifest, LimitRange, where)
            constraints([limit_range])
            for item in limit_range.items:
                amounts(item.default, "default.")
                amounts(item.default_request, "defaultRequest.")
                amounts(item.max_limit_request_ratio, "maxLimitRequestRatio.")
            objects.limit_ranges.setdefault(_namespace(limit_range.metadata), []).append(limit_range)
        case "ResourceQuota":
            quota = convert(manifest, ResourceQuota, where)
            quota.hard()
            quota.used()
            objects.quotas.setdefault(_namespace(quota.metadata), []).append(quota)
        case "PriorityClass":
            objects.priority_classes.append(convert(manifest, PriorityClass, where))
        case "RuntimeClass":
            runtime = convert(manifest, RuntimeClass, where)
            amounts(runtime.overhead.pod_fixed if runtime.overhead else None, "overhead.podFixed.")
            objects.runtime_classes[runtime.metadata.name] = runtime
        case "HorizontalPodAutoscaler":
            objects.autoscalers.append(convert(manifest, Autoscaler, where))
        case _:
            node = convert(manifest, Node, where)
            amounts(node.status.capacity, "status.capacity.")
            amounts(node.status.allocatable, "status.allocatable.")
            objects.nodes[node.metadata.name] = node


def _namespace(metadata: ObjectMeta) -> str:
    return metadata.namespace or NAMESPACE_UNSET
