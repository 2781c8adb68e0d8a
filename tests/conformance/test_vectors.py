"""Overbook answers as the real components do, where their vectors lie beside the repository."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.answer import ANSWERS

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT.parent / "shared" / "vectors"
KINDS = sorted(ANSWERS)
BARE = {"quantity": ("in",), "cpu-weight": ("shares",)}
"""Kinds whose answer stands beside the input, and the names of that input."""

CPU_AND_MEMORY = {"cpu", "memory"}


def questions(kind: str) -> list[dict[str, Any]]:
    path = VECTORS / f"{kind}.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there: the vectors are kept outside the repository")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def split(kind: str, line: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    if kind == "kubevirt-pods":
        asked = {name: line[name] for name in ("case", "setting", "input")}
        return asked, {"pod": stored(line.get("pod"))}
    if kind in BARE:
        asked = {name: line[name] for name in BARE[kind]}
        return asked, {name: value for name, value in line.items() if name not in asked}
    return {name: value for name, value in line.items() if name != "expect"}, line["expect"]


def stored(pod: dict[str, Any] | None) -> dict[str, Any] | None:
    """The part of a real pod that is asked for: CPU and memory, QoS class and priority."""
    if pod is None:
        return None
    return {
        "qosClass": pod["qosClass"],
        "priority": pod["priority"],
        **{
            role: [
                {
                    "name": one["name"],
                    **{
                        side: {
                            name: one.get(side, {})[name]
                            for name in CPU_AND_MEMORY & one.get(side, {}).keys()
                        }
                        for side in ("requests", "limits")
                    },
                }
                for one in pod.get(role) or ()
            ]
            for role in ("containers", "initContainers")
        },
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_is_answered_as_the_component_did(kind: str) -> None:
    differences = []
    lines = questions(kind)
    for number, line in enumerate(lines, 1):
        asked, expected = split(kind, line)
        answered = ANSWERS[kind](asked)
        if answered != expected:
            differences.append(f"line {number}: asked {asked}\n  expected {expected}\n  answered {answered}")
    shown = "\n".join(differences[:3])
    assert not differences, f"{len(differences)} of {len(lines)} lines differ; the first:\n{shown}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_program_answers_line_by_line_in_order(kind: str) -> None:
    lines = questions(kind)[:50]
    asked = [split(kind, line)[0] for line in lines]
    completed = subprocess.run(  # noqa: S603 - our own module, by our own interpreter
        [sys.executable, "-m", "tests.conformance.answer", kind],
        input="".join(json.dumps(question) + "\n" for question in asked),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    answers = [json.loads(line) for line in completed.stdout.splitlines()]
    assert answers == [ANSWERS[kind](question) for question in asked]


def test_an_unknown_kind_is_a_usage_error() -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "tests.conformance.answer", "weather"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert completed.returncode == 2
    assert "override" in completed.stderr
