import re
from typing import get_args

import msgspec

from overbook.controller.metrics import METRICS
from overbook.core.api.overcommit import ReliefSpec
from overbook.core.api.overcommit_node import Outcome, Stage
from overbook.core.relief.events import OUTCOME_REASONS
from tests.docs.reading import ROOT, flags_of

PAGE = (ROOT / "docs" / "controller.md").read_text(encoding="utf-8")


def test_every_flag_is_in_the_table() -> None:
    assert {flag for flag in flags_of("controller") if flag not in PAGE} == set()


def test_every_budget_is_in_the_table_with_its_default() -> None:
    for field in msgspec.structs.fields(ReliefSpec):
        assert re.search(rf"`{field.encode_name}` \| `?{field.default}`?", PAGE), field.encode_name


def test_every_stage_outcome_and_event_is_on_the_page() -> None:
    words = {*get_args(Stage), *get_args(Outcome), *OUTCOME_REASONS.values()}
    source = (ROOT / "src" / "overbook" / "core" / "relief" / "events.py").read_text(encoding="utf-8")
    words |= set(re.findall(r'ReliefEvent\(\s*"(\w+)"', source))
    assert "NobodyMayGo" in words
    assert {word for word in words if f"`{word}`" not in PAGE} == set()


def test_every_metric_is_in_the_table() -> None:
    names = [metric.name for metric in METRICS]
    assert "nodes_asking" in names
    assert {name for name in names if not re.search(rf"`{name}[`{{]", PAGE)} == set()
