from collections import Counter

import pytest

from overbook.deploy import rights
from overbook.deploy.installation import Installation
from overbook.deploy.parts import PARTS
from overbook.deploy.rights import Right

ALL = {
    "agent": rights.AGENT_RIGHTS,
    "controller": rights.CONTROLLER_RIGHTS,
    "last resort": rights.DELETE_RIGHTS,
    "webhook": rights.WEBHOOK_RIGHTS,
    "certificates": rights.CERTIFICATES_RIGHTS,
    "status": rights.STATUS_RIGHTS,
    "override edit": rights.OVERRIDE_EDIT_RIGHTS,
    "override view": rights.OVERRIDE_VIEW_RIGHTS,
}


@pytest.mark.parametrize("given", ALL.values(), ids=ALL)
def test_no_right_is_given_twice(given: tuple[Right, ...]) -> None:
    """A right given twice would not be missed when one of the two is taken away."""
    counted = Counter(
        (right.group, resource, verb)
        for right in given
        for resource in right.resources
        for verb in right.verbs
    )
    assert [each for each, times in counted.items() if times > 1] == []


@pytest.mark.parametrize("given", ALL.values(), ids=ALL)
def test_no_right_uses_a_wildcard(given: tuple[Right, ...]) -> None:
    for right in given:
        assert "*" not in {right.group, *right.resources, *right.verbs}


def test_the_status_role_is_read_only() -> None:
    for right in rights.STATUS_RIGHTS:
        assert set(right.verbs) <= {"get", "list", "watch"}


def test_roles_match_the_rights_and_bind_no_other_account() -> None:
    where = Installation()
    # The groups of the webhook have its rights in common: one of them is chosen.
    chosen = [part for part in PARTS if part.group not in {"webhook-cert-manager", "webhook-service-ca"}]
    objects = [each for part in chosen for each in part.objects(where)]
    granted = sum(len(each["rules"]) for each in objects if each["kind"] in {"Role", "ClusterRole"})
    assert granted == sum(map(len, ALL.values()))
    subjects = {
        (subject["kind"], subject["namespace"], subject["name"])
        for each in objects
        if each["kind"].endswith("RoleBinding")
        for subject in each["subjects"]
    }
    accounts = {
        "overbook-agent": "overbook-node",
        "overbook-certificates": "overbook",
        "overbook-controller": "overbook",
        "overbook-webhook": "overbook",
    }
    assert subjects == {("ServiceAccount", namespace, name) for name, namespace in accounts.items()}


@pytest.mark.parametrize("group", ["webhook", "webhook-cert-manager", "webhook-service-ca"])
def test_the_webhooks_account_only_lists_and_reads_no_secret(group: str) -> None:
    objects = [each for part in PARTS if part.group == group for each in part.objects(Installation())]
    bound = [
        each["roleRef"]["name"]
        for each in objects
        if each["kind"].endswith("RoleBinding")
        if each["subjects"][0]["name"] == "overbook-webhook"
    ]
    rules = [
        rule
        for each in objects
        if each["kind"] in {"Role", "ClusterRole"} and each["metadata"]["name"] in bound
        for rule in each["rules"]
    ]
    assert rules
    for rule in rules:
        assert set(rule["verbs"]) <= {"list", "watch"}
        assert {"secrets", "mutatingwebhookconfigurations"}.isdisjoint(rule["resources"])


def test_only_own_certificates_need_an_account_that_writes_them() -> None:
    for part in PARTS:
        accounts = {
            each["metadata"]["name"]
            for each in part.objects(Installation())
            if each["kind"] == "ServiceAccount"
        }
        assert ("overbook-certificates" in accounts) == (part.name == "certificates-rights")
