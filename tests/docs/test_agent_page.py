import re

import msgspec

from overbook.agent.metrics import METRICS
from overbook.agent.settings import ENVIRONMENT, AgentSettings
from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.decision import Decision
from tests.docs.reading import ROOT, flags_of

PAGE = (ROOT / "docs" / "agent.md").read_text(encoding="utf-8")


def test_every_flag_is_in_the_table() -> None:
    assert {flag for flag in flags_of("agent") if flag not in PAGE} == set()


def test_every_variable_is_in_the_table() -> None:
    assert {variable for variable in ENVIRONMENT if f"`{variable}`" not in PAGE} == set()


def test_every_field_of_the_file_is_in_the_table_with_default() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    for field, default in leaves(msgspec.to_builtins(AgentSettings())):
        row = next((row for row in rows if re.search(rf"`{re.escape(field)}\b", row)), None)
        assert row is not None, field
        if isinstance(default, str) and default not in {"", "/"}:
            assert default in row
        elif isinstance(default, int | float) and not isinstance(default, bool):
            assert re.search(rf"\| [^|]*\b{default:g}\b|\b{default}\b", row), (field, default, row)


def test_every_metric_is_in_the_table() -> None:
    names = [metric.name for metric in METRICS]
    assert {"swap_limits_written_total", "api_contact_age_seconds"} <= set(names)
    # What a part of the agent counts is in the list, too: else nobody could read it.
    for module in ("agent", "cluster", "limits/swap_writers"):
        source = (ROOT / "src" / "overbook" / "agent" / f"{module}.py").read_text(encoding="utf-8")
        values = source.partition("def values(")[2].partition("\n    def ")[0].partition("\nclass ")[0]
        counted = re.findall(r'"(\w+)": ', values)
        assert counted
        assert set(counted) <= set(names)
    assert {metric for metric in names if not re.search(rf"`{metric}[`{{]", PAGE)} == set()


def test_every_field_of_a_decision_is_in_the_table() -> None:
    fields = {field.encode_name for kind in (Decision, Candidate) for field in msgspec.structs.fields(kind)}
    assert {field for field in fields if not re.search(rf"`{field}[`\[]", PAGE)} == set()


def test_every_event_of_the_agent_is_in_the_table() -> None:
    source = (ROOT / "src" / "overbook" / "agent" / "cluster.py").read_text(encoding="utf-8")
    reasons = set(re.findall(r'_notice\("(\w+)"', source))
    for either, other in re.findall(r'reason = "(\w+)" if .* else "(\w+)"', source):
        reasons |= {either, other}
    table = PAGE.partition("\n## Events\n")[2].partition("\n## ")[0]
    assert {"ReliefRequested", "MemoryPressure"} <= reasons
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == reasons


def leaves(settings: dict[str, object], above: str = "") -> list[tuple[str, object]]:
    """Return each field's path and default; a rule's fields are on a page of their own."""
    found: list[tuple[str, object]] = []
    for name, value in settings.items():
        if isinstance(value, dict):
            found += leaves(value, f"{above}{name}.")
        else:
            found.append((f"{above}{name}", None if name == "rules" else value))
    return found
