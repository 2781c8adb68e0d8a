"""The short examples of the READMEs and pages are run."""

import re
from pathlib import Path

import pytest

from overbook.agent.settings import AgentSettings
from overbook.cli import main
from overbook.core.kubernetes.pod import convert
from overbook.kube.files.yaml_documents import yaml_documents
from tests.cli.commands.replay.recorded import RecordedNode
from tests.docs.reading import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["explain examples/burstable-vm-pod.yaml", "swap-size --ram 16Gi"])
def test_the_readmes_output_is_real(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    block = next(block for block in README.split("```console\n") if block.startswith(f"$ overbook {command}"))
    line, _, output = block.split("```")[0].partition("\n")
    assert main(line.removeprefix("$ overbook ").split()) == 0
    assert capsys.readouterr().out == output


def test_the_replays_output_is_real(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    RecordedNode(tmp_path).busy_swap().rename("night.jsonl")
    page = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
    line, _, output = page.split("```console\n")[1].split("```")[0].partition("\n")
    assert main(line.removeprefix("$ overbook ").split()) == 0
    assert capsys.readouterr().out == output


def test_the_webhooks_output_is_real(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "webhook.md").read_text(encoding="utf-8")
    line, _, output = page.split("```console\n")[2].split("```")[0].partition("\n")
    assert main(line.removeprefix("$ overbook ").split()) == 0
    assert capsys.readouterr().out == output


def test_settings_shown_are_accepted() -> None:
    page = (ROOT / "docs" / "rules" / "pressure.md").read_text(encoding="utf-8")
    shown = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert shown
    for text in shown:
        for _, _, manifest in yaml_documents(text, "pressure.md"):
            convert(manifest, AgentSettings, "pressure.md").check()
