"""Debian's guards run in a node as in the density benchmark, and what they kill is recognised.

Whether a guard picks the right pod is the benchmark's question.
"""

import json
import pathlib
import sys

import pytest

from overbook_sandbox.density.guards.debian import DebianGuard, Earlyoom, Nohang
from overbook_sandbox.density.guards.systemd_oomd import SystemdOomd
from overbook_sandbox.machine.guest_kernel import use_generations
from overbook_sandbox.machine.image import prepare
from overbook_sandbox.machine.node import Machine
from overbook_sandbox.machine.spec import MEBIBYTE, MachineSpec
from overbook_sandbox.machine.systemd_boot import systemd_job
from tests.emulated.guard_scene import WILD, first_kill
from tests.sandbox_parts import made

CHECKOUT = pathlib.Path(__file__).parents[2]


@pytest.mark.node(memory="320Mi", swap="128Mi")
@pytest.mark.parametrize("guard", [Earlyoom, Nohang])
def test_a_guard_started_as_by_debian_kills_the_pod_that_grows(
    guard: type[DebianGuard], tmp_path: pathlib.Path
) -> None:
    use_generations()
    kill = first_kill(guard(), tmp_path)
    assert kill.pod == WILD
    assert kill.reason.startswith("SIG")  # TERM, or KILL if memory goes fast


def test_systemd_oomd_kills_a_pod_of_the_watched_slice(
    tmp_path: pathlib.Path,
) -> None:
    image = made(prepare)
    units = made(SystemdOomd.units)
    argv = f"{sys.executable} -m tests.emulated.guard_scene {SystemdOomd.name}"
    job = systemd_job(f"cd {CHECKOUT} && {argv}\n", str(tmp_path), units)
    spec = MachineSpec(memory_bytes=320 * MEBIBYTE, swap_bytes=128 * MEBIBYTE, timeout_seconds=150)
    lines: list[str] = []
    result = Machine(image, spec, job).run(lines.append)
    assert result.exit_status == 0, "\n".join([*lines, *result.console_tail])
    pod, reason = json.loads(lines[-1])
    assert pod == WILD
    assert reason.startswith("due to memory used ")
