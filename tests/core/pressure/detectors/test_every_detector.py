from pkgutil import iter_modules

import msgspec
import pytest

from overbook.agent.settings import ENVIRONMENT
from overbook.core.pressure import detectors
from overbook.core.pressure.detectors import DETECTORS, OPTIONS, AnyDetector
from overbook.core.pressure.detectors.detector import Detector
from overbook.core.pressure.ruleset import Rule

ASKED = ("condition", "read", "figures", "check")


def test_every_module_of_a_detector_is_in_the_list() -> None:
    modules = {module.name for module in iter_modules(detectors.__path__)} - {"detector", "ranges"}
    assert {kind.__module__.rpartition(".")[2] for kind in DETECTORS} == modules


def test_every_abstract_member_is_a_question_to_a_detector() -> None:
    members = ((name, getattr(member, "fget", member)) for name, member in vars(Detector).items())
    assert {name for name, member in members if getattr(member, "__isabstractmethod__", False)} == {*ASKED}


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_detector_says_all_that_is_asked_of_it(kind: type[Detector]) -> None:
    assert [name for name in ASKED if getattr(kind, name) is getattr(Detector, name)] == []
    assert isinstance(kind.reclaim_may_help, bool)
    kind().check()


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_detector_is_read_from_a_file_by_its_modules_name(kind: type[Detector]) -> None:
    first, *others = kind.__module__.rpartition(".")[2].split("_")
    tag = "".join((first, *(word.capitalize() for word in others)))
    assert msgspec.convert({"detector": tag}, AnyDetector) == kind()


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_rule_is_about_stalls_if_reclaim_may_help_in_all(kind: type[Detector]) -> None:
    rule = msgspec.convert({"any": [{"all": [msgspec.to_builtins(kind())]}]}, Rule)
    assert rule.is_about_stalls is kind.reclaim_may_help


def test_a_detectors_option_names_its_field_and_has_a_variable() -> None:
    assert len(OPTIONS) == 4
    for kind, option in OPTIONS:
        assert option.field in kind.__struct_fields__
        assert ENVIRONMENT[option.name.upper()] == (option.name, float)
