import pathlib
import threading

import pytest

from overbook_sandbox.machine.errors import NodeError, NodeStoppedError
from overbook_sandbox.machine.image import Image
from overbook_sandbox.machine.job import Job
from overbook_sandbox.machine.node import Machine
from overbook_sandbox.machine.spec import MachineSpec


def node(folder: pathlib.Path, emulator: str, spec: MachineSpec | None = None) -> Machine:
    """Return a node whose emulator is a shell script."""
    program = folder / "emulator"
    program.write_text(f"#!/bin/sh\n{emulator}\n")
    program.chmod(0o755)
    (folder / "initramfs").write_bytes(b"")
    image = Image(str(program), "/kernel", str(folder / "initramfs"), "a kernel")
    job = Job(argv=("true",), share=str(folder), environment={}, directory="/")
    return Machine(image, spec or MachineSpec(), job)


def test_a_boot_that_fails_shows_the_consoles_last_lines(tmp_path: pathlib.Path) -> None:
    with pytest.raises(NodeError) as error:
        node(tmp_path, 'echo "Kernel panic"; echo; printf "not syncing"; exit 1').run(print)
    assert error.value.problem == "the node did not boot"
    assert error.value.console_tail == ("Kernel panic", "not syncing")
    assert "  Kernel panic" in str(error.value)


def test_a_boot_that_hangs_is_ended(tmp_path: pathlib.Path) -> None:
    with pytest.raises(NodeError, match=r"did not boot within 0\.2 s"):
        node(tmp_path, "exec sleep 60", MachineSpec(boot_timeout_seconds=0.2)).run(print)


def test_a_node_can_be_stopped_from_another_thread(tmp_path: pathlib.Path) -> None:
    stopped = node(tmp_path, "exec sleep 60")
    threading.Timer(0.1, stopped.stop).start()
    with pytest.raises(NodeStoppedError):
        stopped.run(print)


def test_a_node_stopped_before_its_start_does_not_run(tmp_path: pathlib.Path) -> None:
    stopped = node(tmp_path, "exec sleep 60")
    stopped.stop()
    with pytest.raises(NodeStoppedError):
        stopped.run(print)
