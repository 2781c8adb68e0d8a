"""`overbook demo` replays recordings, and runs nodes whose emulator is a script."""

import argparse
import json
import os
import pathlib
import signal
import sys
import threading
from typing import Any

import pytest

from overbook_sandbox.commands import demo
from overbook_sandbox.commands.interrupts import interruptible
from overbook_sandbox.demo.live_view import PlainView
from overbook_sandbox.machine.errors import SandboxError
from overbook_sandbox.machine.image import Image
from overbook_sandbox.machine.job import Job
from overbook_sandbox.machine.node import Machine
from overbook_sandbox.machine.spec import MachineSpec
from tests.sandbox.test_story_synthetic import bare_run, crashed_run, good_run, jsonl, wrong_pod_run

EMULATOR = """\
#!{python}
import re, socket, sys, time
argv = " ".join(sys.argv)
initramfs = open(sys.argv[sys.argv.index("-initrd") + 1], "rb").read()
marker = re.search(rb"marker=(overbook-[0-9a-f]+)", initramfs)[1]
out = socket.socket(fileno=int(re.search(r"id=output,fd=(\\d+)", argv)[1]))
out.sendall(marker + b" started\\n" + open({events!r}, "rb").read())
time.sleep({seconds})
out.sendall(marker + b" exit {status}\\n")
"""


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    demo.add_parser(parser.add_subparsers())
    return parser.parse_args(["demo", *argv])


def recorded(folder: pathlib.Path, **runs: list[dict[str, Any]]) -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    for name, lines in runs.items():
        (folder / f"{name}.jsonl").write_bytes(jsonl(lines))
    return folder


def replayed(tmp_path: pathlib.Path, *options: str, **runs: list[dict[str, Any]]) -> int:
    folder = recorded(tmp_path / "recorded", **runs)
    args = parsed("--replay-events", str(folder), "--output-dir", str(tmp_path / "out"), *options)
    return demo.run(args)


def node(
    tmp_path: pathlib.Path, name: str, events: bytes, *, seconds: float = 0.0, status: int = 0
) -> Machine:
    (tmp_path / f"{name}.events").write_bytes(events)
    program = tmp_path / f"{name}.py"
    program.write_text(
        EMULATOR.format(
            python=sys.executable, events=str(tmp_path / f"{name}.events"), seconds=seconds, status=status
        )
    )
    program.chmod(0o755)
    (tmp_path / "initramfs").write_bytes(b"")
    image = Image(str(program), "/kernel", str(tmp_path / "initramfs"), "a kernel")
    return Machine(
        image, MachineSpec(), Job(argv=("true",), share=str(tmp_path), environment={}, directory="/")
    )


def test_a_good_run_ends_well_and_leaves_its_files(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replayed(tmp_path, **{"with": good_run(), "without": bare_run()}) == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["demo.svg", "summary.json"]
    out = capsys.readouterr().out
    assert "only vm-a, vm-b and vm-c swapped" in out
    assert f"the picture: {tmp_path / 'out' / 'demo.svg'}" in out


def test_a_wrong_pod_ends_badly_with_the_reason(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replayed(tmp_path, **{"with": wrong_pod_run(), "without": bare_run()}) == 1
    assert "not as promised: only vm-c left. Seen: web: killed" in capsys.readouterr().err


def test_one_node_alone_can_be_replayed(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replayed(tmp_path, "--only", "without", **{"with": good_run(), "without": bare_run()}) == 0
    assert "with Overbook" not in capsys.readouterr().out.split("pods that swapped")[0]


def test_a_summary_as_json_has_standard_output_to_itself(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replayed(tmp_path, "--output", "json", **{"with": good_run()}) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["with"]["facts"]["complete"] is True
    assert "phase: wild" in captured.err


def test_a_recording_over_itself_survives(tmp_path: pathlib.Path) -> None:
    folder = recorded(tmp_path, **{"with": good_run()})
    before = (folder / "with.jsonl").read_bytes()
    assert demo.run(parsed("--replay-events", str(folder), "--output-dir", str(folder))) == 0
    assert (folder / "with.jsonl").read_bytes() == before


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe nothing\n{}\n"])
def test_a_folder_without_events_is_refused(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "with.jsonl").write_bytes(content)
    assert demo.run(parsed("--replay-events", str(tmp_path), "--output-dir", str(tmp_path / "out"))) == 2
    assert "--replay-events" in capsys.readouterr().err


@pytest.mark.parametrize("options", [("--memory", "12 apples"), ("--memory", "1Mi"), ("--overcommit", "5")])
def test_impossible_sizes_are_refused_before_any_download(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], options: tuple[str, str]
) -> None:
    assert demo.run(parsed(*options, "--output-dir", str(tmp_path))) == 2
    assert "is not valid; expected" in capsys.readouterr().err


def test_two_nodes_are_shown_at_the_same_time_and_recorded(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes: dict[demo.Side, Machine] = {
        "with": node(tmp_path, "ours", b'noise\n{"event":"later","at":1}\n' + jsonl(good_run())),
        "without": node(tmp_path, "theirs", jsonl(bare_run())),
    }
    stories = demo.watch(nodes, str(tmp_path), lambda _stories: PlainView(sys.stdout))
    assert [story.complete for story in stories] == [True, True]
    assert (tmp_path / "with.jsonl").read_bytes() == jsonl(good_run())
    out = capsys.readouterr().out
    assert "[with      62.0 s] phase: wild" in out
    assert "[without   62.0 s] phase: wild" in out


def test_a_crashed_node_ends_the_demo_with_its_last_words(tmp_path: pathlib.Path) -> None:
    events = jsonl(crashed_run()) + b"Traceback (most recent call last):\nMemoryError\n"
    nodes: dict[demo.Side, Machine] = {
        "with": node(tmp_path, "ours", events, status=1),
        "without": node(tmp_path, "theirs", jsonl(bare_run()), seconds=60),
    }
    with pytest.raises(
        SandboxError, match=r"with Overbook ended after \d+\.\d s with exit status 1"
    ) as error:
        demo.watch(nodes, str(tmp_path), lambda _stories: PlainView(sys.stderr))
    assert "\n  MemoryError" in str(error.value)
    assert (tmp_path / "with.jsonl").read_bytes() == jsonl(crashed_run())


def test_a_node_that_does_not_boot_ends_the_demo(tmp_path: pathlib.Path) -> None:
    broken = node(tmp_path, "ours", b"")
    (tmp_path / "ours.py").write_text("#!/bin/sh\necho Kernel panic\nexit 1\n")
    with pytest.raises(SandboxError, match="with Overbook failed: the node did not boot") as error:
        demo.watch({"with": broken}, str(tmp_path), lambda _stories: PlainView(sys.stderr))
    assert "Kernel panic" in str(error.value)


def test_an_interrupt_stops_both_nodes(tmp_path: pathlib.Path) -> None:
    nodes: dict[demo.Side, Machine] = {
        "with": node(tmp_path, "ours", jsonl(good_run()), seconds=60),
        "without": node(tmp_path, "theirs", jsonl(bare_run()), seconds=60),
    }
    before = threading.active_count()
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(KeyboardInterrupt), interruptible():
        demo.watch(nodes, str(tmp_path), lambda _stories: PlainView(sys.stderr))
    assert threading.active_count() == before


def test_options_of_the_other_demo_are_refused_with_a_cluster(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (("--only", "with"), ("--replay-events", str(tmp_path))):
        assert demo.run(parsed("--cluster", "--output-dir", str(tmp_path / "out"), *options)) == 2
        assert f"{options[0]}" in capsys.readouterr().err
