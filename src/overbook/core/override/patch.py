"""An override as JSON patch operations (RFC 6902), made from its changes and not by comparing two pods."""

from typing import Any

from overbook.core.kubernetes.pod import Pod, ResourceRequirements
from overbook.core.override.override import Change, Override

Operation = dict[str, Any]
"""A JSON patch operation with ``op``, ``path`` and ``value``, ready to be encoded."""


def patch_operations(pod: Pod, override: Override) -> list[Operation]:
    """The operations that turn the submitted pod into the overridden one.

    Only ``add`` is used, which replaces an existing value. Where the map for a quantity is missing (or null),
    the map is added with all its quantities.
    """
    operations: list[Operation] = []
    made: dict[str, dict[str, Any]] = {}
    for change in override.changes:
        written = _written(pod, change)
        base = (
            "/spec/resources" if change.place == "pod" else f"/spec/{change.place}/{change.index}/resources"
        )
        listed = None
        if written is not None:
            listed = written.requests if change.part == "requests" else written.limits
        path = f"{base}/{change.part}"
        if written is None:
            resources = made.get(base)
            if resources is None:
                resources = made[base] = {}
                operations.append({"op": "add", "path": base, "value": resources})
            resources.setdefault(change.part, {})[change.resource] = change.new
        elif listed is None:
            quantities = made.get(path)
            if quantities is None:
                quantities = made[path] = {}
                operations.append({"op": "add", "path": path, "value": quantities})
            quantities[change.resource] = change.new
        else:
            operations.append({"op": "add", "path": f"{path}/{change.resource}", "value": change.new})
    operations += _annotations(pod, override.annotations)
    return operations


def _annotations(pod: Pod, added: dict[str, str]) -> list[Operation]:
    if not added:
        return []
    if pod.metadata.annotations is None:
        return [{"op": "add", "path": "/metadata/annotations", "value": dict(added)}]
    return [
        {
            "op": "add",
            "path": f"/metadata/annotations/{key.replace('~', '~0').replace('/', '~1')}",
            "value": text,
        }
        for key, text in added.items()
    ]


def _written(pod: Pod, change: Change) -> ResourceRequirements | None:
    if change.place == "pod":
        return pod.spec.resources
    containers = pod.init_containers if change.place == "initContainers" else pod.containers
    return containers[change.index].resources
