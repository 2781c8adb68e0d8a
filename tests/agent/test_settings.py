import json
import pathlib
from typing import Any

import msgspec
import pytest

from overbook.agent.settings import ENVIRONMENT, AgentSettings, load
from overbook.core.errors import InvalidInput
from overbook.core.pressure.detectors.swap_occupancy import SwapOccupancy
from overbook.core.pressure.detectors.swap_traffic import SwapTraffic
from overbook.core.pressure.ruleset import DEFAULT_RULESET

FILE = {
    "mode": "Observe",
    "verbosity": 0,
    "nodeName": "from-file",
    "ownPodUid": "uid-from-file",
    "ownNamespace": "ns-from-file",
    "fsroot": "/file",
    "swap": {"allowance": "whole", "percent": 140},
    "reclaim": {"enabled": False},
    "ruleset": {
        "rank": "original",
        "rules": [
            {
                "name": "busy swap",
                "any": [{"all": [{"detector": "swapTraffic", "inPagesPerSecond": 1, "windowSeconds": 11}]}],
            },
            {"any": [{"all": [{"detector": "swapOccupancy", "thresholdFactor": 0.5}]}]},
        ],
    },
}


@pytest.fixture
def file(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(FILE))
    return str(path)


def detector(settings: AgentSettings, kind: type) -> Any:
    found = [d for rule in settings.ruleset.rules for group in rule.any for d in group.all]
    return next(d for d in found if isinstance(d, kind))


def shown(settings: AgentSettings, variable: str) -> Any:
    """Return the setting that one of wasp-agent's variables stands for."""
    match variable:
        case "MAX_AVERAGE_SWAP_IN_PAGES_PER_SECOND":
            return detector(settings, SwapTraffic).in_pages_per_second
        case "MAX_AVERAGE_SWAP_OUT_PAGES_PER_SECOND":
            return detector(settings, SwapTraffic).out_pages_per_second
        case "AVERAGE_WINDOW_SIZE_SECONDS":
            return detector(settings, SwapTraffic).window_seconds
        case "SWAP_UTILIZATION_THRESHOLD_FACTOR":
            return detector(settings, SwapOccupancy).threshold_factor
    return getattr(settings, ENVIRONMENT[variable][0])


CASES = [  # variable, default, in the file, in the environment, by flag
    ("MAX_AVERAGE_SWAP_IN_PAGES_PER_SECOND", 1000, 1, "1000000000", 7.0),
    ("MAX_AVERAGE_SWAP_OUT_PAGES_PER_SECOND", 1000, 1000, "2000", 8.0),
    ("AVERAGE_WINDOW_SIZE_SECONDS", 30, 11, "20", 10.0),
    ("SWAP_UTILIZATION_THRESHOLD_FACTOR", 0.8, 0.5, "0.7", 0.6),
    ("VERBOSITY", 1, 0, "2", 1),
    ("FSROOT", "/", "/file", "/host", "/flag"),
    ("NODE_NAME", "", "from-file", "from-environment", "from-flag"),
    ("POD_UID", "", "uid-from-file", "uid-from-environment", "uid-from-flag"),
    ("POD_NAMESPACE", "overbook", "ns-from-file", "ns-from-environment", "ns-from-flag"),
]


@pytest.mark.parametrize(("variable", "default", "in_file", "text", "by_flag"), CASES)
def test_flags_win_over_variables_over_file_over_defaults(
    file: str, variable: str, default: Any, in_file: Any, text: str, by_flag: Any
) -> None:
    field, kind = ENVIRONMENT[variable]
    assert shown(load(None, {}, {}), variable) == default
    assert shown(load(file, {}, {}), variable) == in_file
    assert shown(load(file, {variable: text}, {}), variable) == kind(text)
    assert shown(load(None, {variable: text}, {}), variable) == kind(text)
    assert shown(load(file, {variable: text}, {field: by_flag}), variable) == by_flag
    assert shown(load(file, {variable: ""}, {}), variable) == in_file  # empty counts as not given


def test_every_variable_of_the_original_is_tried_here() -> None:
    assert [case[0] for case in CASES] == list(ENVIRONMENT)


def test_a_yaml_file_is_read_like_a_json_file(tmp_path: pathlib.Path, file: str) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("---\nmode: Observe\nswap: {allowance: whole, percent: 140}\n")
    assert load(str(path), {}, {}).swap == load(file, {}, {}).swap
    path.write_text(pathlib.Path(file).read_text())
    assert load(str(path), {}, {}) == load(file, {}, {})


def test_shown_settings_can_be_read_again(tmp_path: pathlib.Path) -> None:
    settings = load(None, {"VERBOSITY": "2"}, {"allowance": "pooled", "rank": "original"})
    path = tmp_path / "again.json"
    path.write_bytes(msgspec.json.encode(settings))
    assert load(str(path), {}, {}) == settings


def test_flags_reach_swap_and_ruleset() -> None:
    settings = load(None, {}, {"eligibility": "Burstable", "pooled_share": 0.25, "rank": "original"})
    assert settings.swap.eligibility == "Burstable"
    assert settings.swap.pooled_share == 0.25
    assert settings.ruleset.rank == "original"
    assert settings.ruleset.rules == DEFAULT_RULESET.rules


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"intervalSecond": 1}, "intervalSecond"),
        ({"swap": {"alowance": "whole"}}, "alowance"),
        ({"reclaim": {"enable": True}}, "enable"),
        ({"ruleset": {"rules": [], "ranks": "culprit"}}, "ranks"),
        (
            {"ruleset": {"rules": [{"any": [{"all": [{"detector": "lowMemory", "percent": 1}]}]}]}},
            "percent",
        ),
        ({"ruleset": {"rules": [{"any": [{"all": [{"detector": "lowMem"}]}]}]}}, "lowMem"),
        ({"mode": "observe"}, "mode"),
        ({"intervalSeconds": "1"}, "intervalSeconds"),
        ({"intervalSeconds": 60}, "intervalSeconds"),
        ({"graceSeconds": -1}, "graceSeconds"),
        ({"swap": {"percent": 5}}, "memoryOvercommitPercentage"),
        ({"reclaim": {"nodePercent": 200}}, "reclaim.nodePercent"),
        ({"ruleset": {"rules": [{"any": []}]}}, "rule"),
    ],
)
def test_an_unknown_or_invalid_field_is_named(
    tmp_path: pathlib.Path, changed: dict[str, Any], named: str
) -> None:
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(changed))
    with pytest.raises(InvalidInput, match=named):
        load(str(path), {}, {})


@pytest.mark.parametrize(
    "content",
    [b"", b"[1]", b"{", b"mode: Observe\n---\nmode: Enforce\n", b"mode: \xff\n", b"{]", b"5", b"\0"],
)
def test_a_file_that_holds_no_settings_is_refused_by_its_name(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "agent.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"agent\.yaml"):
        load(str(path), {}, {})


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("VERBOSITY", "loud"),
        ("AVERAGE_WINDOW_SIZE_SECONDS", "30s"),
        ("AVERAGE_WINDOW_SIZE_SECONDS", "0"),
        ("SWAP_UTILIZATION_THRESHOLD_FACTOR", "nan"),
        ("MAX_AVERAGE_SWAP_IN_PAGES_PER_SECOND", "-1"),
        ("MAX_AVERAGE_SWAP_OUT_PAGES_PER_SECOND", "inf"),
    ],
)
def test_an_invalid_variable_is_refused(variable: str, text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        load(None, {variable: text}, {})
    assert text in str(refused.value)


def test_a_flag_in_pages_wins_over_a_file_in_bytes(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(
        "ruleset: {rules: [{any: [{all: [{detector: swapTraffic, inBytesPerSecond: 4194304}]}]}]}\n"
    )
    traffic = detector(load(str(file), {}, {}), SwapTraffic)
    assert (traffic.in_pages_per_second, traffic.out_pages_per_second) == (None, 1000.0)
    assert traffic.condition == "swap traffic above 4 MiB/s in and 1000 pages/s out for 30 s"
    flags = {"max_average_swap_in_pages_per_second": 7.0}
    traffic = detector(load(str(file), {}, flags), SwapTraffic)
    assert (traffic.in_pages_per_second, traffic.in_bytes_per_second) == (7.0, None)
