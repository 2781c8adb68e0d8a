"""The agent runs its doctor in a thread of its own, once a minute."""

import os
import pathlib
import threading
import time

from overbook.agent.doctor import LOOK_SECONDS, Doctor
from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.overcommit.allowance import SwapPolicy
from overbook.node.doctor.check import HostFinding
from overbook_sandbox.fakes.kernel_files import build_tree, make_node
from tests.waiting import wait_for

GIB = 1 << 30
POLICY = SwapPolicy(percent=100)
MOST_CPU_MILLISECONDS = 100
"""Measured: 9 ms a minute with 200 processes. Emulation is ten times slower."""


def words(found: tuple[HostFinding, ...]) -> set[str]:
    return {finding.word for finding in found if finding.severity != "Note"}


def settle() -> None:
    wait_for(lambda: not any(thread.name == "overbook-doctor" for thread in threading.enumerate()), "a look")


def test_doctor_looks_again_after_a_minute_and_not_before(tmp_path: pathlib.Path) -> None:
    make_node(tmp_path, mem_total_bytes=GIB, swap_total_bytes=0)
    build_tree(tmp_path, {"run": {}, "proc/1/cmdline": "init\0"})
    doctor = Doctor(str(tmp_path))
    doctor.findings(0.0, POLICY, None)
    settle()
    assert words(doctor.findings(1.0, POLICY, None)) == set()

    build_tree(tmp_path, {"run/overbook/swap.state": "state=DiskFull\nsentence=no room\n"})
    assert words(doctor.findings(LOOK_SECONDS - 1, POLICY, None)) == set()

    doctor.findings(LOOK_SECONDS, POLICY, None)
    settle()
    assert words(doctor.findings(LOOK_SECONDS + 1, POLICY, None)) == {"SwapNotProvisioned"}


def test_doctor_uses_the_version_that_the_node_says(tmp_path: pathlib.Path) -> None:
    make_node(tmp_path, mem_total_bytes=GIB, swap_total_bytes=0)
    build_tree(tmp_path, {"run": {}, "proc/1/cmdline": "init\0"})
    gated = KubeletConfiguration(fail_swap_on=False, feature_gates={"NodeSwap": True})
    for minor, word in ((36, "KubeletRefusesLater"), (37, "KubeletRefusesSetting")):
        doctor = Doctor(str(tmp_path))
        doctor.findings(0.0, POLICY, gated, minor)
        settle()
        found = {finding.word for finding in doctor.findings(1.0, POLICY, gated, minor)}
        assert {each for each in found if each.startswith("KubeletRefuses")} == {word}


def test_findings_never_wait_for_a_process_that_stalls(tmp_path: pathlib.Path) -> None:
    make_node(tmp_path)
    (tmp_path / "proc/7").mkdir()
    stalling = tmp_path / "proc/7/cmdline"
    os.mkfifo(stalling)
    doctor = Doctor(str(tmp_path))

    begun = time.monotonic()
    assert doctor.findings(0.0, POLICY, None) == ()
    assert doctor.findings(LOOK_SECONDS, POLICY, None) == ()  # and no second look begins
    assert time.monotonic() - begun < LOOK_SECONDS / 2

    assert len([t for t in threading.enumerate() if t.name == "overbook-doctor"]) == 1
    with open(stalling, "wb") as file:
        file.write(b"sh\0")
    settle()


def test_a_look_of_the_doctor_costs_little() -> None:
    doctor = Doctor("/")
    doctor.findings(0.0, POLICY, None)
    settle()

    before = time.process_time()
    doctor.findings(LOOK_SECONDS, POLICY, None)
    settle()

    assert (time.process_time() - before) * 1000 < MOST_CPU_MILLISECONDS
