"""On a node, a command uses the settings of that node's kubelet."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.cli import main
from overbook.core.kubernetes.kubelet import kubelet_configuration
from overbook.kernel.meminfo import read_meminfo
from tests.emulated.real_pods import wait_until

pytestmark = pytest.mark.node(memory="512Mi", swap="512Mi")

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
CONFIGURATION = {"cpuCFSQuota": False, "systemReserved": {"memory": "64Mi"}}
WAIT = "import sys; sys.stdin.read()"


@pytest.fixture
def kubelet(tmp_path: pathlib.Path) -> Iterator[None]:
    """A process is named like a kubelet and has its configuration; the commands look at no more."""
    path = tmp_path / "kubelet.json"
    path.write_text(json.dumps(CONFIGURATION))
    argv = ["kubelet", "-c", WAIT, f"--config={path}"]
    process = subprocess.Popen(argv, executable=sys.executable, stdin=subprocess.PIPE)  # noqa: S603 - ours
    try:
        wait_until(lambda: pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(b"kubelet"))
        yield
    finally:
        process.communicate()


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--output", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.usefixtures("kubelet")
def test_explain_takes_the_cpu_quota_from_the_kubelet(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "explain", str(EXAMPLES / "guaranteed-vm-pod.yaml"))
    assert found["node"]["cpuQuota"] is False
    assert found["node"]["cpuQuotaFrom"] == "cpuCFSQuota of this machine's kubelet"
    assert found["pods"][0]["cpuQuota"]["sentence"].startswith("off: ")
    asked = answer(capsys, "explain", str(EXAMPLES / "guaranteed-vm-pod.yaml"), "--cpu-quota")
    assert asked["node"]["cpuQuota"] is True


@pytest.mark.usefixtures("kubelet")
def test_node_reserve_shows_what_the_kubelet_reserves(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "node", "reserve")
    total = read_meminfo().mem_total_bytes
    assert (found["memoryBytes"], found["cpuMilli"]) == (total, (os.cpu_count() or 1) * 1000)
    assert found["now"]["enforcedBytes"] == kubelet_configuration([CONFIGURATION]).enforced_bytes(total)
    assert found["now"]["reservedMemoryBytes"] == 64 << 20


def test_limits_count_as_enforced_without_a_kubelet(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "explain", str(EXAMPLES / "guaranteed-vm-pod.yaml"))
    assert (found["node"]["cpuQuota"], found["node"]["cpuQuotaFrom"]) == (True, "the kubelet's default")
    assert answer(capsys, "node", "reserve")["now"] is None
