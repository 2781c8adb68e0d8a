"""The definitions of Overbook's custom resources, made from the structs in `core.api`."""

from typing import Any, Final

import msgspec

from overbook.core.api.group import GROUP, VERSION
from overbook.core.api.overcommit import OVERCOMMIT_NAME, Overcommit, OvercommitSpec
from overbook.core.api.overcommit_node import (
    MOST_CANDIDATES,
    MOST_DECISIONS,
    MOST_OUTCOMES,
    MOST_PROBLEMS,
    MOST_REFUSALS,
    OvercommitNode,
    OvercommitNodeStatus,
    ReliefRecord,
    ReliefRequest,
)
from overbook.core.api.override import (
    OverridePolicy,
    ResourceOverride,
    ResourceOverrideSpec,
    ResourceOverrideStatus,
)
from overbook.core.kubernetes.selectors import OPERATORS, LabelRequirement, LabelSelector
from overbook.deploy.installation import LABELS, Manifest
from overbook.deploy.schema import Limits, Schema, schema_of, summary

_MOST_CONDITIONS: Final = 8
_MOST_REQUIREMENTS: Final = 64
_MOST_PERCENT: Final = 1_000_000
LIMITS: Final = Limits(
    most_items={
        (ReliefRequest, "candidates"): MOST_CANDIDATES,
        (OvercommitNodeStatus, "decisions"): MOST_DECISIONS,
        (OvercommitNodeStatus, "problems"): MOST_PROBLEMS,
        (OvercommitNodeStatus, "conditions"): _MOST_CONDITIONS,
        (ReliefRecord, "refusals"): MOST_REFUSALS,
        (ReliefRecord, "outcomes"): MOST_OUTCOMES,
        (LabelSelector, "match_expressions"): _MOST_REQUIREMENTS,
        (LabelRequirement, "values"): _MOST_REQUIREMENTS,
        (ResourceOverrideStatus, "conditions"): _MOST_CONDITIONS,
    },
    # The same bounds as in override_rules.check, whose messages are better; that check stays.
    bounds={
        (OverridePolicy, "memory_request_to_limit_percent"): (0, 100),
        (OverridePolicy, "cpu_request_to_limit_percent"): (0, 100),
        (OverridePolicy, "limit_cpu_to_memory_percent"): (0, _MOST_PERCENT),
        (OverridePolicy, "cpu_request_to_request_percent"): (0, 100),
    },
    words={(LabelRequirement, "operator"): OPERATORS},
)


def definitions() -> list[Manifest]:
    """All custom resource definitions."""
    return [overcommits(), overcommit_nodes(), resource_overrides()]


def overcommits() -> Manifest:
    """The definition of ``Overcommit``: one object with a fixed name, written by people."""
    root = _root(Overcommit, "spec", schema_of(OvercommitSpec, LIMITS, written_by_people=True))
    root["properties"]["spec"]["default"] = {}
    root["x-kubernetes-validations"] = [
        {
            "rule": f"self.metadata.name == '{OVERCOMMIT_NAME}'",
            "message": f"there is one Overcommit in a cluster, and its name is {OVERCOMMIT_NAME}",
            "reason": "FieldValueInvalid",
            "fieldPath": ".metadata",
        }
    ]
    columns = [
        _column("Percentage", "integer", ".spec.percentage"),
        _column("Mode", "string", ".spec.mode"),
        _column("Paused", "boolean", ".spec.paused"),
        _column("Age", "date", ".metadata.creationTimestamp"),
    ]
    return _definition("Overcommit", "overcommits", "Cluster", root, columns, {})


def overcommit_nodes() -> Manifest:
    """The definition of ``OvercommitNode``: one for each node, written by agent and controller."""
    root = _root(OvercommitNode, "status", schema_of(OvercommitNodeStatus, LIMITS, written_by_people=False))
    columns = [
        _column("Pressure", "string", ".status.pressure.state"),
        _column("Relief", "string", ".status.relief.stage"),
        _column("Victim", "string", ".status.relief.victim"),
        _column("Mode", "string", ".status.mode"),
        _column("Seen", "date", ".status.observedAt"),
        _column("Swap used", "integer", ".status.swap.usedBytes", priority=1),
        _column("Version", "string", ".status.agentVersion", priority=1),
    ]
    return _definition("OvercommitNode", "overcommitnodes", "Cluster", root, columns, {"status": {}})


def resource_overrides() -> Manifest:
    """The definition of ``ResourceOverride``: written by people, for the pods of one namespace."""
    schema = schema_of(ResourceOverrideSpec, LIMITS, written_by_people=True)
    percentages = ".spec.podResourceOverride"
    columns = [
        _column("Memory %", "integer", f"{percentages}.memoryRequestToLimitPercent"),
        _column("CPU %", "integer", f"{percentages}.cpuRequestToLimitPercent"),
        _column("Mode", "string", f"{percentages}.mode"),
        _column("Ignored", "string", '.status.conditions[?(@.type=="Ignored")].status'),
        _column("Age", "date", ".metadata.creationTimestamp"),
    ]
    root = _root(ResourceOverride, "spec", schema)
    root["properties"]["status"] = schema_of(ResourceOverrideStatus, LIMITS, written_by_people=False)
    return _definition("ResourceOverride", "resourceoverrides", "Namespaced", root, columns, {"status": {}})


def _root(kind: type[msgspec.Struct], part: str, schema: Schema) -> Schema:
    return {
        "type": "object",
        "description": summary(kind),
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            part: schema,
        },
    }


def _definition(
    kind: str,
    plural: str,
    scope: str,
    root: Schema,
    columns: list[dict[str, Any]],
    subresources: dict[str, Any],
) -> Manifest:
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": root},
    }
    if subresources:
        version["subresources"] = subresources
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": dict(LABELS)},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


def _column(name: str, kind: str, path: str, priority: int = 0) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    if priority:
        column["priority"] = priority
    return column
