"""Admission policies that allow an agent to write only about the node in its token.

RBAC has no notion of "own node": with RBAC alone, an attacker with one agent's token could taint every node.
A token that is bound to a pod contains the node (Kubernetes 1.32; KEP-4193), so admission can check it.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from overbook.core.api.group import API_VERSION, GROUP, VERSION
from overbook.core.api.heartbeat import HEARTBEAT_LABELS
from overbook.core.api.overcommit_node import TAINT_EFFECT, TAINT_KEY
from overbook.deploy.installation import AGENT, Installation, Manifest, metadata

_VERSION: Final = "admissionregistration.k8s.io/v1"


class Validation(NamedTuple):
    """A condition that must hold.

    Attributes:
        expression: the condition in CEL.
        message: the error message, also in CEL.
    """

    expression: str
    message: str


def policy(
    about: Manifest,
    resources: Sequence[tuple[str, str, list[str], list[str]]],
    conditions: Sequence[dict[str, Any]],
    variables: Sequence[dict[str, Any]],
    validations: Sequence[Validation],
) -> list[Manifest]:
    """A policy with its binding.

    Args:
        about: the policy's metadata; the binding has the same name.
        resources: the matched group, version, resources and operations.
        conditions: the policy applies to requests for which all of these hold.
        variables: named expressions.
        validations: a request is allowed if all of these hold.
    """
    rules = [
        {"apiGroups": [group], "apiVersions": [version], "resources": names, "operations": operations}
        for group, version, names, operations in resources
    ]
    return [
        {
            "apiVersion": _VERSION,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": about,
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": rules},
                "matchConditions": list(conditions),
                "variables": list(variables),
                "validations": [
                    {"expression": each.expression, "messageExpression": each.message, "reason": "Forbidden"}
                    for each in validations
                ],
            },
        },
        {
            "apiVersion": _VERSION,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": about,
            "spec": {"policyName": about["name"], "validationActions": ["Deny"]},
        },
    ]


BY_THE_API_SERVER: Final = ("generation", "managedFields", "resourceVersion")
"""The fields of an object's metadata that the API server changes with each write."""
BEFORE_AND_AFTER: Final = (
    {"name": "had", "expression": "oldObject == null ? dyn({}) : dyn(oldObject)"},
    {"name": "has", "expression": "dyn(object)"},
)
"""The variables that :func:`unchanged_except` reads."""


def unchanged_except(field: str, names: Sequence[str]) -> str:
    """The condition that an object's field has the same entries as before, except these.

    It names what may change, not what may not: fields of newer versions of Kubernetes are covered.
    """

    def entries(of: str) -> str:
        return f"variables.{of}[?'{field}'].orValue(dyn({{}}))"

    return (
        f"{entries('has')}.all(name, name in {list(names)!r}\n"
        f"  || variables.has[?'{field}'][?name] == variables.had[?'{field}'][?name])\n"
        f"&& {entries('had')}.all(name, name in {list(names)!r}\n"
        f"  || name in {entries('has')})"
    )


_NODE: Final = "authentication.kubernetes.io/node-name"
_NODE_VARIABLE: Final = {
    "name": "node",
    "expression": f"request.userInfo.extra[?'{_NODE}'].orValue(['']).join(',')",
}
_HAS_NODE: Final = Validation(
    "variables.node != ''",
    "'an agent writes only with a token that is bound to its pod: this one names no node'",
)


def own_overcommit_node(where: Installation) -> list[Manifest]:
    """The policy that an agent writes only its own node's OvercommitNode, without the controller's part."""
    return _of_agents(
        where,
        "object",
        [(GROUP, VERSION, ["overcommitnodes", "overcommitnodes/status"], ["CREATE", "UPDATE"])],
        [
            Validation(
                "object.metadata.name == variables.node",
                "'the agent of node ' + variables.node + ' may write only the OvercommitNode '"
                " + variables.node + ', not ' + object.metadata.name",
            ),
            Validation(
                "oldObject == null ? !has(object.status) || !has(object.status.relief)\n"
                "  : object.?status.?relief == oldObject.?status.?relief",
                "'status.relief is written by the controller'",
            ),
            Validation(
                "!has(object.metadata.finalizers)",
                "'an agent may not set finalizers: the object could never be removed'",
            ),
            Validation(
                "object.metadata.?ownerReferences.orValue([]).all(owner,\n"
                "  owner.kind == 'Node' && owner.name == variables.node)",
                "'the only owner of an OvercommitNode is its Node'",
            ),
        ],
    )


def own_taint(where: Installation) -> list[Manifest]:
    """The policy that an agent changes only one taint of its own Node."""

    def others(of: str) -> str:
        return (
            f"{of}.spec.?taints.orValue([]).filter(taint,\n"
            f"  taint.key != '{TAINT_KEY}' || taint.effect != '{TAINT_EFFECT}')"
        )

    return _of_agents(
        where,
        "taint",
        [("", "v1", ["nodes"], ["CREATE", "UPDATE"])],
        [
            Validation(
                "oldObject != null && object.metadata.name == variables.node",
                "'the agent of node ' + variables.node + ' may change only that node, not '"
                " + object.metadata.name",
            ),
            Validation(
                f"oldObject != null\n&& {others('object')}\n== {others('oldObject')}",
                f"'an agent may add and remove only the taint {TAINT_KEY}:{TAINT_EFFECT}'",
            ),
            Validation(
                "oldObject != null\n&& " + unchanged_except("spec", ("taints",)),
                "'an agent may change nothing of its node but one taint'",
            ),
            Validation(
                "oldObject != null\n&& " + unchanged_except("metadata", BY_THE_API_SERVER),
                "'an agent may not change labels, annotations, finalizers or owners of its node'",
            ),
        ],
        BEFORE_AND_AFTER,
    )


def own_events(where: Installation) -> list[Manifest]:
    """The policy that an agent's events name the agent and its own node as their source.

    The fields are those of ``events.k8s.io``, because events of the core group are converted before the
    check.
    """

    def from_agent(of: str) -> str:
        return (
            f"{of}.?deprecatedSource.?component.orValue('') == '{AGENT}'\n"
            f"&& {of}.?deprecatedSource.?host.orValue('') == variables.node"
        )

    about_node = "object.?regarding.?name.orValue('') == variables.node"
    return _of_agents(
        where,
        "events",
        [("events.k8s.io", "v1", ["events"], ["CREATE", "UPDATE"])],
        [
            Validation(
                from_agent("object"),
                f"'an event of this agent has source.component {AGENT} and source.host ' + variables.node",
            ),
            Validation(
                f"oldObject == null || {from_agent('oldObject')}",
                "'an agent may change only its own events'",
            ),
            Validation(
                "object.?regarding.?kind.orValue('') == 'Pod'\n"
                f"|| object.?regarding.?kind.orValue('') == 'Node' && {about_node}\n"
                f"|| object.?regarding.?apiVersion.orValue('') == '{API_VERSION}' && {about_node}",
                "'an agent may write events only about pods and its own node, not about '"
                " + object.?regarding.?kind.orValue('') + ' ' + object.?regarding.?name.orValue('')",
            ),
        ],
    )


def own_lease(where: Installation) -> list[Manifest]:
    """The policy that an agent writes only its own node's Lease.

    Only requests for the agents' namespace are looked at: the cluster's kubelets renew Leases all the time.
    """
    labels = "\n&& ".join(
        f"object.metadata.?labels[?'{key}'].orValue('') == '{value}'"
        for key, value in HEARTBEAT_LABELS.items()
    )
    found = _of_agents(
        where,
        "lease",
        [("coordination.k8s.io", "v1", ["leases"], ["CREATE", "UPDATE"])],
        [
            Validation(
                "object.metadata.name == variables.node",
                "'the agent of node ' + variables.node + ' may write only the Lease '"
                " + variables.node + ', not ' + object.metadata.name",
            ),
            Validation(
                labels, "'an agent may write only a Lease with the labels of agents, by which it is found'"
            ),
            Validation(
                "oldObject == null\n"
                "  ? !has(object.metadata.finalizers) && !has(object.metadata.ownerReferences)\n"
                "  : object.metadata.?finalizers == oldObject.metadata.?finalizers\n"
                "    && object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences",
                "'an agent may not set finalizers or owners of its Lease'",
            ),
        ],
    )
    found[0]["spec"]["matchConstraints"]["namespaceSelector"] = {
        "matchLabels": {"kubernetes.io/metadata.name": where.node_namespace}
    }
    return found


def agent_policies(where: Installation) -> list[Manifest]:
    """All policies for agents, each with its binding."""
    return [*own_overcommit_node(where), *own_taint(where), *own_events(where), *own_lease(where)]


def _of_agents(
    where: Installation,
    subject: str,
    resources: list[tuple[str, str, list[str], list[str]]],
    validations: list[Validation],
    more: Sequence[dict[str, str]] = (),
) -> list[Manifest]:
    conditions = [{"name": "agent", "expression": f"request.userInfo.username == '{where.user_of('agent')}'"}]
    variables: list[dict[str, Any]] = [_NODE_VARIABLE, *more]
    about = metadata(f"{AGENT}-own-{subject}", "agent")
    return policy(about, resources, conditions, variables, [_HAS_NODE, *validations])
