import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from overbook.cli import main
from overbook.cli.commands.replay.text import _UNITS
from overbook.core.pressure.detectors import DETECTORS
from overbook.core.pressure.recording import MOST_LINE_BYTES
from tests.cli.commands.replay.recorded import RecordedNode

LOWER = (
    "--max-average-swap-in-pages-per-second",
    "200",
    "--max-average-swap-out-pages-per-second",
    "200",
)
HIGHER = (
    "--max-average-swap-in-pages-per-second",
    "5000",
    "--max-average-swap-out-pages-per-second",
    "5000",
)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RecordedNode(tmp_path_factory.mktemp("node")).busy_swap()


def replayed(capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int = 0) -> dict[str, Any]:
    assert main(["replay", *map(str, arguments), "-o", "json"]) == status
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def test_the_ruleset_that_recorded_decides_the_same_again(
    capsys: pytest.CaptureFixture[str], recording: Path
) -> None:
    said = replayed(capsys, recording, "--exit-code")
    assert said["differFromSeconds"] is None
    left, right = said["left"], said["right"]
    assert left.pop("name") != right.pop("name")
    assert left == right
    assert left["asked"] == ["shop/wild"]
    assert all(row["left"] == row["right"] for row in said["rows"])


def test_a_lower_threshold_relieves_earlier(capsys: pytest.CaptureFixture[str], recording: Path) -> None:
    said = replayed(capsys, recording, *LOWER, "--exit-code", status=1)
    first = said["right"]["firstAskedSeconds"]
    assert first < said["left"]["firstAskedSeconds"]
    assert said["differFromSeconds"] == first
    assert said["right"]["asked"][0] == "shop/wild"


def test_a_pod_is_not_relieved_twice(capsys: pytest.CaptureFixture[str], recording: Path) -> None:
    asked = replayed(capsys, recording, *LOWER, "--relief", "1")["right"]["asked"]
    assert len(asked) == len(set(asked))


def test_a_higher_threshold_relieves_no_pod_and_shows_the_margin(
    capsys: pytest.CaptureFixture[str], recording: Path
) -> None:
    said = replayed(capsys, recording, *HIGHER)
    assert said["right"]["asked"] == []
    assert said["differFromSeconds"] == said["left"]["firstAskedSeconds"]
    traffic = next(rule for rule in said["rules"] if "5000 pages/s" in rule["rule"])
    assert traffic["samplesHeld"] == 0
    both = next(peak for peak in traffic["peaks"] if peak["name"] == "lowerOfBothPagesPerSecond")
    # The averages passed 1,000 when relief was requested, and nothing was swapped after that.
    assert both["threshold"] == 5000
    assert 1000 < both["value"] < 1100
    assert both["seconds"] == said["left"]["firstAskedSeconds"]


def test_the_threshold_that_the_figures_name_decides(
    capsys: pytest.CaptureFixture[str], recording: Path
) -> None:
    said = replayed(capsys, recording, *HIGHER)
    peaks = {peak["name"]: peak["value"] for rule in said["rules"] for peak in rule["peaks"]}
    for distance, asked in ((-1.0, 1), (1.0, 0)):
        value = str(peaks["lowerOfBothPagesPerSecond"] + distance)
        flags = [value if flag == "5000" else flag for flag in HIGHER]
        assert len(replayed(capsys, recording, *flags)["right"]["asked"]) == asked


def test_recorded_and_new_decisions_can_be_decided_again(
    capsys: pytest.CaptureFixture[str], recording: Path, tmp_path: Path
) -> None:
    ruleset = tmp_path / "strict.yaml"
    ruleset.write_text(
        "apiVersion: overbook.dev/v1alpha1\nkind: Ruleset\nrules:\n"
        "- name: any traffic\n  any: [{all: [{detector: swapTraffic, inPagesPerSecond: 10, "
        "outPagesPerSecond: 10, windowSeconds: 5}]}]\n",
        "utf-8",
    )
    said = replayed(capsys, recording, "--baseline", ruleset)
    assert str(ruleset) in said["left"]["name"]
    assert said["left"]["firstAskedSeconds"] < said["right"]["firstAskedSeconds"]
    assert replayed(capsys, recording, "--baseline", "default", "--exit-code")["differFromSeconds"] is None


def test_replay_marks_where_its_estimate_begins(capsys: pytest.CaptureFixture[str], recording: Path) -> None:
    assert main(["replay", str(recording), *LOWER]) == 0
    text = capsys.readouterr().out
    assert text.index("from here the courses differ") < text.index("relieve shop/wild")
    assert "the right requests relief" in text
    assert "s earlier" in text
    assert max(map(len, text.splitlines()[1:])) <= 110  # the first names the file
    assert main(["replay", str(recording)]) == 0
    assert "the courses do not differ" in capsys.readouterr().out


def test_yaml_output_is_the_same(capsys: pytest.CaptureFixture[str], recording: Path) -> None:
    said = replayed(capsys, recording)
    assert main(["replay", str(recording), "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == said


def test_a_cut_off_last_line_is_left_out_and_reported(
    capsys: pytest.CaptureFixture[str], recording: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.jsonl"
    data = recording.read_bytes()
    cut.write_bytes(data[:-20])
    said = replayed(capsys, cut)
    assert said["cutOffLine"] == data.count(b"\n")
    assert main(["replay", str(cut)]) == 0
    assert "is cut off" in capsys.readouterr().out


BAD = {
    "no JSON": (b"{}x\n", 3),
    "another object": (b'{"kind": "Pod"}\n', 3),
    "a sample of text": (b'{"sample": "text"}\n', 3),
    "a sample of the wrong types": (b'{"sample": ["a", 1, [1], []]}\n', 3),
    "no UTF-8": (b'{"sample": "\xff"}\n', 3),
    "half a line inside": (b'{"sample": [1.0, \n{"relief": {"label": "a", "outcome": "b"}}\n', 3),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_named(
    capsys: pytest.CaptureFixture[str], recording: Path, tmp_path: Path, name: str
) -> None:
    content, line = BAD[name]
    path = tmp_path / "bad.jsonl"
    first = recording.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(first[:2]) + content + first[2])
    assert main(["replay", str(path)]) == 2
    said = capsys.readouterr().err
    assert f"bad.jsonl, line {line}: " in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"\n\n", b'{"pods": []}\n', b"kind: Pod\n"])
def test_a_file_without_samples_is_no_recording(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "none.jsonl"
    path.write_bytes(content)
    assert main(["replay", str(path)]) == 2
    assert "overbook agent --record" in capsys.readouterr().err


def test_a_huge_line_is_refused_before_it_is_read_to_its_end(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "huge.jsonl"
    with path.open("wb") as file:
        file.write(b'{"sample": "')
        file.truncate(4 * MOST_LINE_BYTES)
    assert main(["replay", str(path)]) == 2
    assert "line 1: " in (said := capsys.readouterr().err)
    assert "MiB a line" in said


def test_missing_files_and_bad_rulesets_are_one_line_each(
    capsys: pytest.CaptureFixture[str], recording: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: Pod\n", "utf-8")
    for arguments, said in (
        ([str(tmp_path / "none")], "No such file"),
        ([str(recording), "--ruleset", str(bad)], "expected Ruleset or AgentConfiguration"),
        ([str(recording), "--swap-utilization-threshold-factor", "3"], "thresholdFactor"),
        ([str(recording), "--relief", "-1"], "--relief"),
    ):
        assert main(["replay", *arguments]) == 2
        assert said in (text := capsys.readouterr().err)
        assert text.count("\n") == 1


def test_replay_of_standard_input_uses_bounded_memory(recording: Path) -> None:
    # Not ru_maxrss, which a process inherits from the one that started it.
    program = (
        "import sys\nfrom overbook.cli import main\nstatus = main(['replay', '-', '-o', 'json'])\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM:'))\n"
        "print(peak.split()[1], file=sys.stderr)\nsys.exit(status)"
    )
    lines = recording.read_bytes().splitlines(keepends=True)
    used = []
    for repeat in (1, 200):
        data = io.BytesIO()
        for _ in range(repeat):
            data.writelines(lines)
        command = [sys.executable, "-c", program]
        ended = subprocess.run(command, input=data.getvalue(), capture_output=True, check=True)  # noqa: S603 - ours
        assert json.loads(ended.stdout)["samples"] == repeat * sum(b'{"sample"' in line for line in lines)
        used.append(int(ended.stderr))
    assert used[1] - used[0] < 4096


def test_every_number_of_a_rule_has_a_unit_in_the_text() -> None:
    settings = {field for kind in DETECTORS for field in kind.__struct_encode_fields__}
    assert {name for name in settings if name.endswith(("Percent", "PerSecond", "Factor"))} <= set(_UNITS)
    assert {"withinSeconds", "lowerOfBothPagesPerSecond"} <= set(_UNITS)


def test_the_documented_rules_decide_beside_the_shipped_ones(
    capsys: pytest.CaptureFixture[str], recording: Path
) -> None:
    said = replayed(capsys, recording, "--ruleset", "documented", "--baseline", "default")
    assert len(said["rules"]) == 2
    assert "documented" in said["right"]["name"]
    assert said["right"]["reclaims"] == 0
