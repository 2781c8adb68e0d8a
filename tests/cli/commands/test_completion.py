import os
import subprocess

import pytest

from overbook.cli import main
from overbook.cli.registry import COMMANDS


def script(capsys: pytest.CaptureFixture[str], shell: str) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_every_value_is_in_the_script(
    capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    text = script(capsys, shell)
    assert all(command.name in text for command in COMMANDS)
    assert "BurstableVirtualMachines" in text
    assert "topic" in text


def completed(program: str, *words: str) -> list[str]:
    line = " ".join(f"'{word}'" for word in words)
    ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _overbook; echo ${{COMPREPLY[@]}}"
    command = ["/bin/bash", "-c", f"{program}\n{ask}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return ended.stdout.split()


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="bash is not installed")
def test_bash_completes(capsys: pytest.CaptureFixture[str]) -> None:
    program = script(capsys, "bash")
    assert completed(program, "overbook", "ex") == ["explain"]
    assert completed(program, "overbook", "explain", "--allow") == ["--allowance"]
    assert completed(program, "overbook", "explain", "--allowance", "") == ["proportional", "whole", "pooled"]
    assert completed(program, "overbook", "completion", "z") == ["zsh"]
    assert completed(program, "overbook", "status", "n") == ["node", "namespace"]
    assert completed(program, "overbook", "status", "--kube") == ["--kubeconfig"]
    assert completed(program, "overbook", "status", "-o", "") == ["table", "wide", "json", "yaml"]
