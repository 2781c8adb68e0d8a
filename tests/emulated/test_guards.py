"""Debian's guards run in a node as in the density benchmark, and what they kill is recognised.

Whether a guard picks the right pod is the benchmark's question.
"""

import json
import pathlib
import sys
from typing import Any, NamedTuple

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


class Guarded(NamedTuple):
    """What is seen of a node that systemd-oomd guards.

    Attributes:
        report: what the doctor prints there as JSON, before anything is killed.
        kill: the pod that is killed first, and the reason.
    """

    report: dict[str, Any]
    kill: tuple[str, str]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    image = made(prepare)
    units = made(SystemdOomd.units)
    share = tmp_path_factory.mktemp("guarded")
    doctor = f"{sys.executable} -m overbook node doctor --percent 150 --output json >{share}/doctor.json"
    scene = f"{sys.executable} -m tests.emulated.guard_scene {SystemdOomd.name}"
    job = systemd_job(f"cd {CHECKOUT} && {doctor}; {scene}\n", str(share), units)
    spec = MachineSpec(memory_bytes=320 * MEBIBYTE, swap_bytes=128 * MEBIBYTE, timeout_seconds=150)
    lines: list[str] = []
    result = Machine(image, spec, job).run(lines.append)
    assert result.exit_status == 0, "\n".join([*lines, *result.console_tail])
    pod, reason = json.loads(lines[-1])
    return Guarded(json.loads((share / "doctor.json").read_bytes()), (pod, reason))


def test_systemd_oomd_kills_a_pod_of_the_watched_slice(guarded: Guarded) -> None:
    pod, reason = guarded.kill
    assert pod == WILD
    assert reason.startswith("due to memory used ")


def test_the_doctor_names_systemd_oomd_and_what_it_watches(guarded: Guarded) -> None:
    sentences = {each["word"]: each["sentence"] for each in guarded.report["findings"]}
    said = sentences.get("KillsBefore") or sentences.get("OtherKiller") or ""
    assert "systemd-oomd" in said, guarded.report
    assert "kubepods.slice" in said
