from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from overbook.agent.settings import AgentSettings, load, load_ruleset
from overbook.core.errors import InvalidInput
from overbook.core.pressure.reclaim import ReclaimPolicy
from overbook.core.pressure.ruleset import DEFAULT_RULESET
from overbook.kube.files.one_document import read_configuration

EXAMPLES = Path(__file__).parents[2] / "examples"
AGENT, RULESET = str(EXAMPLES / "agent.yaml"), str(EXAMPLES / "ruleset.yaml")


def fields_of(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {found for key, inner in value.items() for found in fields_of(inner, f"{path}.{key}")}
    if isinstance(value, list | tuple):
        return {found for inner in value for found in fields_of(inner, path)}
    return {path}


def test_the_agents_example_is_what_the_agent_does_without_it() -> None:
    assert load(AGENT, {}, {}) == AgentSettings()


def test_the_rulesets_example_is_the_shipped_ruleset() -> None:
    assert load_ruleset(RULESET, {}) == (DEFAULT_RULESET, ReclaimPolicy())


def test_the_agents_example_brings_its_ruleset_to_the_replay() -> None:
    assert load_ruleset(AGENT, {}) == (DEFAULT_RULESET, ReclaimPolicy())


def test_the_example_names_every_field() -> None:
    without_default = {".manifests", ".record", ".kubeconfig", ".context", ".offload.dailyWriteBytes"}
    detector = ".ruleset.rules.any.all"
    without_default |= {f"{detector}.inBytesPerSecond", f"{detector}.outBytesPerSecond"}
    named = fields_of(read_configuration(AGENT, ("AgentConfiguration",))[1])
    named |= {".ruleset.rules.name"}  # shown in words: by default the conditions are the name
    assert named == fields_of(msgspec.to_builtins(AgentSettings())) - without_default
    text = Path(AGENT).read_text("utf-8")
    assert all(f"# {field.rpartition('.')[2]}: " in text for field in without_default)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "Agent"}, "kind: 'Agent' is not valid; expected AgentConfiguration"),
        ({"apiVersion": "v1"}, "apiVersion: 'v1' is not valid; expected overbook.dev/v1alpha1"),
        ({"intervall": 1}, "intervall"),
        ({"reclaim": {"enabled": "yes"}}, "reclaim.enabled"),
        ({"ruleset": {"rank": "nobody"}}, "ruleset.rank"),
        ({"intervalSeconds": 0}, "intervalSeconds: 0.0 is not valid"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "overbook.dev/v1alpha1", **change}), "utf-8")
    with pytest.raises(InvalidInput, match="expected") as caught:
        load(str(path), {}, {})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "expected"), [("Off", "Off"), ("On", "On"), ('"Off"', "Off"), ("Observe", "Observe")]
)
def test_the_mode_of_offload_needs_no_quotes(tmp_path: Path, mode: str, expected: str) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(f"offload:\n  mode: {mode}\n", "utf-8")
    assert load(str(path), {}, {}).offload.mode == expected


@pytest.mark.parametrize("text", ["", "- 1\n", "mode: Observe\n---\nmode: Observe\n", "mode"])
def test_a_file_is_one_mapping(tmp_path: Path, text: str) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(InvalidInput, match="AgentConfiguration"):
        load(str(path), {}, {})


def test_a_ruleset_of_one_field_keeps_the_shipped_rules(tmp_path: Path) -> None:
    path = tmp_path / "ruleset.json"
    path.write_text('{"rank": "original"}', "utf-8")
    ruleset, _ = load_ruleset(str(path), {})
    assert (ruleset.rank, ruleset.rules) == ("original", DEFAULT_RULESET.rules)


def test_flags_win_over_the_rulesets_file() -> None:
    ruleset, _ = load_ruleset(RULESET, {"swap_utilization_threshold_factor": 0.5})
    assert ruleset != DEFAULT_RULESET
    assert "50 % of swap" in ruleset.rules[4].title


def test_a_threshold_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidInput, match="thresholdFactor"):
        load_ruleset(None, {"swap_utilization_threshold_factor": 2.0})
