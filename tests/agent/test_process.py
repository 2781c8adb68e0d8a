"""A user starts ``overbook agent``, gives it wrong arguments, and stops it."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.agent.journal import Recorder
from overbook.core.pressure.sample import NodeSample, Sample
from tests.agent.fake_node import MI, FakeNode

QUIET = {key: value for key, value in os.environ.items() if key not in ("FSROOT", "VERBOSITY", "NODE_NAME")}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "overbook", "agent", *arguments]


def refused(*arguments: str, **environment: str) -> str:
    """Return the one line with which the agent refuses to start."""
    done = subprocess.run(  # noqa: S603 - our own argv
        command(*arguments),
        capture_output=True,
        text=True,
        env={**QUIET, **environment},
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.endswith("\n")
    lines = done.stderr.splitlines()
    assert lines[-1].startswith("overbook")
    assert "Traceback" not in done.stderr
    return lines[-1]


class Running:
    """The agent's process on a fake node."""

    def __init__(self, node: FakeNode, *arguments: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        ours = ["--manifests", str(node.manifests), "--fsroot", str(node.root), "--interval", "0.1"]
        ours += ["--listen", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(  # noqa: S603 - our own argv
            command(*ours, *arguments), stderr=subprocess.PIPE, text=True, env=QUIET
        )

    def get(self, path: str) -> str:
        deadline = time.monotonic() + 30
        while True:
            try:
                url = f"http://127.0.0.1:{self.port}{path}"
                with urllib.request.urlopen(url, timeout=5) as response:
                    return str(response.read().decode())
            except OSError:
                assert self.process.poll() is None, self.process.communicate()[1]
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> str:
        """End the agent and return its log."""
        self.process.send_signal(number)
        said = self.process.communicate(timeout=30)[1]
        return str(said)


@pytest.fixture
def started() -> Iterator[list[Running]]:
    running: list[Running] = []
    yield running
    for each in running:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_agent_with_limits_restored(
    node: FakeNode, started: list[Running], number: signal.Signals
) -> None:
    path = node.start("vm", memory_swap_max=None)
    agent = Running(node, "--on-exit", "restore")
    started.append(agent)
    assert agent.get("/readyz") == "ok\n"
    assert node.limit(path) == str(128 * MI)
    said = agent.stop(number)
    assert agent.process.returncode == 0, said
    assert node.limit(path) == "max"
    assert f"{number.name}: stopping" in said
    assert "1 swap limits put back as they were found" in said
    assert "Traceback" not in said


def test_limits_stay_at_exit_by_default(node: FakeNode, started: list[Running]) -> None:
    path = node.start("vm", memory_swap_max=None)
    agent = Running(node, "--no-lock-memory")
    started.append(agent)
    agent.get("/readyz")
    assert "swap limits stay as they are" in agent.stop()
    assert node.limit(path) == str(128 * MI)


def test_observe_mode_changes_no_file_from_start_to_end(node: FakeNode, started: list[Running]) -> None:
    node.start("vm", memory_swap_max=None)
    before = node.everything()
    agent = Running(node, "--mode", "observe")
    started.append(agent)
    agent.get("/readyz")
    said = agent.stop()
    assert node.everything() == before
    assert "would be 128 MiB" in said
    assert "the agent ticks by the clock only" in said  # the fake node's pressure file is not the kernel's


def test_agent_survives_a_node_that_breaks_and_recovers(node: FakeNode, started: list[Running]) -> None:
    agent = Running(node, "--no-lock-memory")
    started.append(agent)
    agent.get("/readyz")
    (node.root / "proc/meminfo").rename(node.root / "proc/hidden")
    time.sleep(0.5)
    (node.root / "proc/hidden").rename(node.root / "proc/meminfo")
    node.start("late", memory_swap_max=None)
    deadline = time.monotonic() + 10
    while "overbook_pods_known 1\n" not in agent.get("/metrics"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    said = agent.stop()
    assert agent.process.returncode == 0
    assert said.count("this tick failed") == 1


def test_a_missing_manifests_flag_is_named() -> None:
    line = refused()
    assert "--manifests" in line
    assert "a directory with this node's pods as manifests" in line


def test_wrong_paths_and_addresses_are_named(node: FakeNode, tmp_path: pathlib.Path) -> None:
    here = ("--manifests", str(node.manifests), "--fsroot", str(node.root))
    none = str(tmp_path / "none")
    assert none[:60] in refused("--manifests", none, *here[2:])
    # A long value is shown shortened.
    assert str(node.describe("vm"))[:60] in refused("--manifests", str(node.describe("vm")), *here[2:])
    assert none[:60] in refused("--config", none, *here)
    assert none[:60] in refused(*here, "--record", f"{none}/recording")
    assert "127.0.0.1" in refused(*here, "--listen", "127.0.0.1")
    assert "no such host" in refused(*here, "--listen", "no such host:9713")
    assert "sys/fs/cgroup" in refused(*here[:2], "--fsroot", none)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused(*here, "--listen", address)
    assert address in line
    assert "already in use" in line


def test_cgroup_version_1_is_refused_in_one_line(node: FakeNode) -> None:
    (node.root / "sys/fs/cgroup/cgroup.controllers").unlink()
    (node.root / "sys/fs/cgroup/memory").mkdir()
    line = refused("--manifests", str(node.manifests), "--fsroot", str(node.root))
    assert "cgroup version 1" in line


def test_invalid_values_are_refused_in_one_line(tmp_path: pathlib.Path) -> None:
    assert "AVERAGE_WINDOW_SIZE_SECONDS" in refused("--check-config", AVERAGE_WINDOW_SIZE_SECONDS="soon")
    assert "invalid choice: 'Maybe'" in refused("--mode", "maybe")
    assert "invalid float value" in refused("--interval", "x")
    assert "intervalSeconds" in refused("--check-config", "--interval", "0")
    config = tmp_path / "agent.yaml"
    config.write_text("mode: Observe\nintervall: 2\n")
    assert "intervall" in refused("--check-config", "--config", str(config))


def test_configuration_can_be_checked_before_it_is_used(tmp_path: pathlib.Path) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text("mode: Observe\nverbosity: 0\nnodeName: from-file\n")
    arguments = command("--config", str(config), "--check-config", "--verbosity", "2", "--allowance", "whole")
    shown = subprocess.run(  # noqa: S603 - our own argv
        arguments,
        stdout=subprocess.PIPE,
        text=True,
        env={**QUIET, "NODE_NAME": "from-environment", "VERBOSITY": "1"},
        check=True,
    )
    settings: dict[str, Any] = json.loads(shown.stdout)
    assert settings["mode"] == "Observe"
    assert settings["nodeName"] == "from-environment"
    assert settings["verbosity"] == 2
    assert settings["swap"]["allowance"] == "whole"
    assert settings["ruleset"]["rules"][3]["any"][0]["all"][0]["detector"] == "swapTraffic"


def test_a_recording_stops_at_its_limit_with_whole_lines(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "recording.jsonl"
    recorder = Recorder(str(path), 2000)
    for second in range(500):
        recorder.sample(Sample(float(second), 0.0, NodeSample(1 << 30)))
    recorder.close()
    recorder.sample(Sample(0.0, 0.0, NodeSample(1)))  # nothing is written after the end
    text = path.read_text()
    assert 1900 < len(text) <= 2000
    assert [json.loads(line)["sample"][0] for line in text.splitlines()] == list(range(text.count("\n")))
    assert len(caplog.messages) == 1
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_recording_is_continued_and_a_full_disk_ends_it(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "recording.jsonl"
    for _ in range(2):
        recorder = Recorder(str(path), 10**6)
        recorder.sample(Sample(1.0, 0.0, NodeSample(1)))
        recorder.close()
    assert path.read_text().count("\n") == 2
    full = Recorder("/dev/full", 10**6)
    for _ in range(3):
        full.sample(Sample(1.0, 0.0, NodeSample(1)))
    full.close()
    assert caplog.messages == ["/dev/full cannot be written (No space left on device); recording stops"]


def test_the_recording_of_a_run_holds_pods_samples_and_decisions(node: FakeNode) -> None:
    record = node.root.parent / "recording.jsonl"
    node.start("vm", memory_current=500 * MI)
    node.set(mem_available_bytes=0, swap_free_bytes=0)
    agent = node.agent(record=str(record))
    node.tick(agent)
    node.tick(agent)
    agent.stop()
    keys = [next(iter(json.loads(line))) for line in record.read_text().splitlines()]
    assert keys == ["pods", "sample", "decision", "sample", "relief", "decision"]
