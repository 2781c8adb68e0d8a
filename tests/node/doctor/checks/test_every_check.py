import inspect
from pkgutil import iter_modules
from typing import get_args

import pytest

from overbook.node.doctor import checks
from overbook.node.doctor.check import Check
from overbook.node.doctor.checks import CHECKS
from overbook.node.doctor.facts import HostState, Subject


def test_every_subject_has_one_check() -> None:
    assert sorted(check.subject for check in CHECKS) == sorted(get_args(Subject))


def test_every_module_of_a_check_is_in_the_list() -> None:
    assert {check.subject for check in CHECKS} == {module.name for module in iter_modules(checks.__path__)}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.subject)
def test_a_check_is_in_the_module_called_as_its_subject(check: Check) -> None:
    module = inspect.getmodule(check.look)
    assert module is not None
    assert module.__name__.rpartition(".")[2] == check.subject


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.subject)
def test_a_check_finds_nothing_broken_where_nothing_is_known(check: Check) -> None:
    assert [finding for finding in check.look(HostState()) if finding.severity != "Note"] == []
