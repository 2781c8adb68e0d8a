"""The VMs of public reports, whose inputs lie beside the repository, are explained as KubeVirt makes them."""

import json
from pathlib import Path
from typing import Any

import pytest

from overbook.cli import main

INPUTS = Path(__file__).resolve().parents[3] / "shared" / "faults" / "inputs" / "admission"
GI = 1 << 30
MI = 1 << 20


def explained(capsys: pytest.CaptureFixture[str], name: str, *options: str) -> Any:
    path = INPUTS / name
    if not path.exists():
        pytest.skip(f"{path} is not there: the inputs are kept outside the repository")
    assert main(["explain", str(path), "--node-memory", "64Gi", "--output", "json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def words(pod: Any) -> set[str]:
    return {warning["word"] for warning in pod["warnings"]}


@pytest.mark.parametrize(
    ("name", "percent", "requests", "limits", "guest"),
    [
        ("vm-limits-only", 150, (2000, 4492 * MI), (2000, 4492 * MI), 4 * GI),
        ("vm-limit-cpu-only", 150, (4000, None), (4000, None), 4 * GI),
        ("vm-cpu-model-requests-cpu", 150, (4000, 4416 * MI), (None, None), 4 * GI),
        ("vm-hugepages-by-request", 150, (200, 304 * MI), (None, None), 4 * GI),
        ("vm-hugepages-guest", 150, (200, 296 * MI), (None, None), 4 * GI),
        ("vm-instancetype", 150, (200, 2348 * MI), (None, None), 4 * GI),
        ("quota-and-vm", 100, (200, 4392 * MI), (2000, 8784 * MI), 4 * GI),
        ("hco-and-vm", None, (500, 2_613_051_144), (None, None), 4 * GI),
        ("vm-limit-below-guest", 150, (200, 4392 * MI), (None, 4392 * MI), 8 * GI),
    ],
)
def test_a_vm_of_a_report_becomes_its_real_pod(
    capsys: pytest.CaptureFixture[str],
    name: str,
    percent: int | None,
    requests: tuple[int, int | None],
    limits: tuple[int | None, int | None],
    guest: int,
) -> None:
    options = () if percent is None else ("--percent", str(percent))
    (pod,) = explained(capsys, f"{name}.yaml", *options)["pods"]
    (compute,) = (one for one in pod["containers"] if one["name"] == "compute")
    assert compute["requests"]["cpuMilli"] == requests[0]
    if requests[1] is not None:
        # Page tables of a request by hand are no whole MiB.
        assert compute["requests"]["memoryBytes"] // MI == requests[1] // MI
    assert (compute["limits"]["cpuMilli"], compute["limits"]["memoryBytes"]) == limits
    assert pod["guestBytes"] == guest
    assert ("LimitBelowGuest" in words(pod)) is (name == "vm-limit-below-guest")


def test_annotations_count_on_the_template_alone(capsys: pytest.CaptureFixture[str]) -> None:
    (without,) = explained(capsys, "vm-annotation-on-template.yaml", "--percent", "150")["pods"]
    (ignored,) = explained(capsys, "vm-annotation-on-vm.yaml", "--percent", "150")["pods"]
    assert without["swapMaxBytes"] == 0
    assert ignored["swapMaxBytes"] > 0


def test_stopped_vms_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    report = explained(capsys, "stopped-workloads.yaml", "--percent", "150")
    machines = [pod for pod in report["pods"] if pod["virtualMachine"]]
    assert [pod["object"] for pod in machines] == ["lab/desk-on"]
    assert report["totals"]["guestBytes"] == 4 * GI


def test_a_request_by_hand_is_no_computed_one(capsys: pytest.CaptureFixture[str]) -> None:
    (pod,) = explained(capsys, "launcher-by-hand.json", "--percent", "150")["pods"]
    assert (pod["guestBytes"], "GuestUncertain" in words(pod)) == (4 * GI, True)
