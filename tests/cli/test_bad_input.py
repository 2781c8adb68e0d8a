import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from overbook.cli import main

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "burstable-pod.yaml")


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("overbook: ")
    assert captured.err.count("\n") == 1
    return captured.err


def explain_one(capsys: pytest.CaptureFixture[str], tmp_path: Path, container: Any, **spec: Any) -> str:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [container], **spec},
    }
    path = tmp_path / "pod.json"
    path.write_text(json.dumps(pod), "utf-8")
    return complaint(capsys, "explain", str(path), "--node-memory", "1Gi")


@pytest.mark.parametrize(
    ("quantity", "part"),
    [("-1Gi", "'-1Gi'"), ("9e99", "'9e99'"), ("much", "'much'"), ("1 Gi", "'1 Gi'"), (True, ""), ([], "")],
)
def test_a_bad_quantity_is_named_with_pod_container_and_field(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, quantity: Any, part: str
) -> None:
    container = {"name": "c", "resources": {"requests": {"memory": quantity}}}
    message = explain_one(capsys, tmp_path, container)
    assert part in message
    assert "pod.json, document 1: Pod default/p" in message
    assert "requests" in message


def test_two_containers_of_one_name_and_none_at_all_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "a different name" in explain_one(capsys, tmp_path, {"name": "c"}, initContainers=[{"name": "c"}])
    assert "a name for each" in explain_one(capsys, tmp_path, {})
    path = tmp_path / "empty.json"
    path.write_text('{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{}}', "utf-8")
    assert "at least one container" in complaint(capsys, "explain", str(path), "--node-memory", "1Gi")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["explain", "nope.yaml"], ["nope.yaml", "No such file"]),
        (["explain"], ["FILE"]),
        (["explain", EXAMPLE, "--node-memory", "lots"], ["--node-memory", "'lots'"]),
        (["explain", EXAMPLE, "--node-memory", "-1Gi"], ["--node-memory"]),
        (["explain", EXAMPLE, "--node-memory", "1Gi", "--percent", "1.5"], ["did you mean 150?"]),
        (["explain", EXAMPLE, "--node-memory", "1Gi", "--pooled-share", "7"], ["pooledShare"]),
        (["explain", EXAMPLE, "--node-memory", "1Gi", "--kubevirt-version", "v0.1"], ["KubeVirt version"]),
        (["explain", EXAMPLE, "--node-memory", "1Gi", "--node-cpu", "none"], ["--node-cpu"]),
        (["explain", EXAMPLE, "--node-memory", "1Gi", "--on-node", "other"], ["at least one pod"]),
        (["explain", "--topic", "nothing"], ["--topic", "swap"]),
        (["nonsense"], ["no command 'nonsense'", "explain"]),
        (["status", "pod"], ["status pod", "shop/cart"]),
        (["status", "namespace", "a", "b"], ["'a b'", "one name"]),
        (["status", "pod", "a/b", "--watch"], ["--watch", "nodes"]),
        (["status", "worker-1", "-n", "shop"], ["--namespace", "pods only"]),
        (["status", "worker-1", "-l", "a=b"], ["--selector", "not both"]),
        (["status", "--watch", "--interval", "0"], ["--interval", "0.1 to 3600"]),
        (["status", "--watch", "-o", "json"], ["--output", "for people"]),
        (["status", "--kubeconfig", "nope"], ["nope"]),
        (["swap-size", "--ram", "16Gi"], ["--overcommit", "--swap"]),
        (["swap-size", "--ram", "16Gi", "--overcommit", "1.5"], ["did you mean 150?"]),
        (["swap-size", "--ram", "16Gi", "--overcommit", "99999"], ["10 to 10000"]),
        (["swap-size", "--ram", "0", "--overcommit", "150"], ["--ram"]),
        (["swap-size", "--ram", "1Gi", "--overcommit", "150", "--guest", "9Gi"], ["--guest"]),
    ],
)
def test_the_error_line_names_what_is_wrong(
    capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    message = complaint(capsys, *arguments)
    assert all(part in message for part in parts), message


def test_an_empty_directory_has_nothing_to_explain(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "at least one .json" in complaint(capsys, "explain", str(tmp_path))


def overbook(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "overbook", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # noqa: S603 - ours


def test_exit_statuses_of_the_real_process() -> None:
    assert overbook("--version").returncode == 0
    assert overbook("--help").stdout.startswith("usage: overbook")
    assert overbook().returncode == 2
    assert overbook("swap-size", "--ram", "16Gi", "--swap", "8Gi", "--overcommit", "150").returncode == 0
    assert overbook("swap-size", "--ram", "16Gi", "--swap", "1Gi", "--overcommit", "150").returncode == 1
    failed = overbook("explain", "-", "--node-memory", "1Gi", input="{")
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = f'"{sys.executable}" -m overbook explain --topic swap | true; exit ${{PIPESTATUS[0]}}'
    command = ["/bin/bash", "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert ended.stderr == ""
    assert ended.returncode in (0, 141)


def test_an_interrupt_ends_quietly() -> None:
    command = [sys.executable, "-m", "overbook", "explain", "-", "--node-memory", "1Gi"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:  # noqa: S603 - ours
        # It is inside main once it waits for standard input.
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not _waits_for_input(process.pid):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == b""


def _waits_for_input(pid: int) -> bool:
    if not os.path.exists(f"/proc/{pid}/wchan"):
        time.sleep(1)
        return True
    return "pipe" in Path(f"/proc/{pid}/wchan").read_text("utf-8")
