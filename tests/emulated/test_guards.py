"""Debian's guards run in a node as in the density benchmark, and what they kill is recognised.

Whether a guard picks the right pod is the benchmark's question.
"""

import json
import pathlib
import sys
from typing import NamedTuple

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

EARLYOOM = """[Service]
ExecStart=/bin/bash -c 'exec -a earlyoom /bin/bash -c "while :; do sleep 1000; done" earlyoom -m 1 -s 1'
"""
"""A stand-in, which does not kill: earlyoom with limits that are reached after the rules."""
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
        kill: the pod that is killed first, and the reason.
        findings: the doctor's, by their words.
        left: those after their fixes.
        services: systemd-oomd and earlyoom then, and what is watched in kubepods.slice.
    """

    kill: tuple[str, str]
    findings: dict[str, dict[str, str]]
    left: dict[str, dict[str, str]]
    services: list[str]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    image = made(prepare)
    units = {**made(SystemdOomd.units), "earlyoom.service": EARLYOOM}
    share = tmp_path_factory.mktemp("guarded")
    scene = f"{sys.executable} -m tests.emulated.guard_scene {SystemdOomd.name}"
    fixes = f"{sys.executable} -m tests.emulated.typed_fixes KillsBefore OtherKiller"
    watched = "systemctl show --property ManagedOOMSwap,ManagedOOMMemoryPressure kubepods.slice"
    services = f"systemctl is-active systemd-oomd earlyoom; {watched}"
    job = systemd_job(f"cd {CHECKOUT} && {scene} && {fixes} && {{ {services}; true; }}\n", str(share), units)
    spec = MachineSpec(memory_bytes=320 * MEBIBYTE, swap_bytes=128 * MEBIBYTE, timeout_seconds=300)
    lines: list[str] = []
    result = Machine(image, spec, job).run(lines.append)
    assert result.exit_status == 0, "\n".join([*lines, *result.console_tail])
    pod, reason = json.loads(lines[0])
    findings, left = json.loads(lines[1])
    return Guarded((pod, reason), findings, left, lines[2:])


def test_systemd_oomd_kills_a_pod_of_the_watched_slice(guarded: Guarded) -> None:
    pod, reason = guarded.kill
    assert pod == WILD
    assert reason.startswith("due to memory used ")


def test_the_doctor_names_systemd_oomd_and_what_it_watches(guarded: Guarded) -> None:
    said = guarded.findings["KillsBefore"]["sentence"]
    assert said.startswith("systemd-oomd ")
    assert "kills the cgroup with most swap below kubepods.slice from 90 % of RAM" in said
    assert guarded.findings["OtherKiller"]["sentence"].startswith("earlyoom ")


def test_the_fixes_take_the_pods_from_other_killers(guarded: Guarded) -> None:
    assert "KillsBefore" not in guarded.left
    assert "earlyoom" not in str(guarded.left)
    assert guarded.services == [
        "active",
        "inactive",
        "ManagedOOMSwap=auto",
        "ManagedOOMMemoryPressure=auto",
    ]
