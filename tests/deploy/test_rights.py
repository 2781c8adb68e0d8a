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
    objects = [each for part in PARTS for each in part.objects(where)]
    granted = sum(len(each["rules"]) for each in objects if each["kind"] in {"Role", "ClusterRole"})
    assert granted == sum(map(len, ALL.values()))
    subjects = {
        (subject["kind"], subject["namespace"], subject["name"])
        for each in objects
        if each["kind"].endswith("RoleBinding")
        for subject in each["subjects"]
    }
    accounts = ("overbook-agent", "overbook-controller", "overbook-webhook")
    assert subjects == {("ServiceAccount", "overbook", account) for account in accounts}
