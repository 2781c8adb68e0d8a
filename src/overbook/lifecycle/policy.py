"""A ValidatingAdmissionPolicy and its binding, as this project uses them: a failure to decide denies."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from overbook.lifecycle.labels import Manifest

_VERSION: Final = "admissionregistration.k8s.io/v1"


class Validation(NamedTuple):
    """What must hold.

    Attributes:
        expression: in CEL.
        message: what is said where it does not hold; in CEL, too.
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
        about: its metadata; the binding is called the same.
        resources: what it looks at: group, version, resources and operations.
        conditions: all of which hold for a request that it looks at.
        variables: named expressions.
        validations: all of which must hold.
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
