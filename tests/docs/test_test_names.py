"""A test's name has its subject in it and fits a line: a report of a failure begins with it."""

import ast
import re

from tests.docs.reading import ROOT

LONGEST = 60

WITHOUT_A_SUBJECT = re.compile(
    "test_(it|its|this|that|these|those|they|them|their|he|she|his|her|what|whatever|which|whichever"
    "|who|whom|whose|whoever|where|whether|however|nobody|somebody|someone|others|nothing|something"
    "|everything|one_that|some_that)_"
)


def faults(name: str) -> list[str]:
    """Each sentence completes "this name ..."; a good name has none."""
    found = []
    if len(name) > LONGEST:
        found.append(f"has {len(name)} characters; at most {LONGEST}")
    if WITHOUT_A_SUBJECT.match(name):
        found.append("begins with a pronoun; begin with its subject, as in test_agent_yields_to_a_newer_one")
    return found


def test_every_test_has_a_short_name_with_a_subject() -> None:
    wrong: list[str] = []
    names = 0
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                names += 1
                place = f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
                wrong += [f"{place} {fault}" for fault in faults(node.name)]
    assert names > 1400
    assert not wrong, "\n".join(wrong)


def test_names_that_are_long_or_without_a_subject_are_found() -> None:
    assert faults("test_it_is_small")
    assert faults("test_one_that_is_gone_is_reported")
    assert faults("test_nothing_is_written_while_observing")
    assert faults("test_" + "a" * (LONGEST - 4))
    assert not faults("test_pressure_reclaims_then_kills")
    assert not faults("test_items_are_read")
    assert not faults("test_one_connection_serves_many_requests")
