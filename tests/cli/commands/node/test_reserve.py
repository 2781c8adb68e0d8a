import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from overbook.cli import main
from overbook.core.kubernetes.kubelet import kubelet_configuration
from overbook_sandbox.fakes.kernel_files import build_tree, make_node

GIB = 1 << 30
MIB = 1 << 20
SIZE = ["--memory", "64Gi", "--cpu", "16"]
EXAMPLES = Path(__file__).parents[4] / "examples"

PROPOSAL = """\
another node: 64Gi of RAM, 16 CPUs

             cpu  memory  allocatable  all pods
  proposed  110m  5612Mi      58.42Gi   58.52Gi
  the present reservation is not known: no kubelet's configuration was found

qos-reserved would then leave to the lower classes (an example: a quarter of the memory each:
16Gi requested by Guaranteed and 16Gi by Burstable pods)
         Burstable  BestEffort
  100 %    42.52Gi     26.52Gi
   50 %    50.52Gi     42.52Gi
    0 %    58.52Gi     58.52Gi

apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
systemReserved:
  cpu: 110m
  memory: 5612Mi
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["node", "reserve", *arguments]) == 0
    return capsys.readouterr().out


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run(capsys, *arguments, "--output", "json"))
    return answer


def host(folder: Path, **kubelet: Any) -> list[str]:
    """A machine with 16 GiB on which a kubelet runs."""
    make_node(folder, mem_total_bytes=16 * GIB)
    command = b"/usr/bin/kubelet\0--config=/etc/kubelet.json\0"
    build_tree(folder, {"proc/7/cmdline": command, "etc/kubelet.json": json.dumps(kubelet)})
    return ["--fsroot", str(folder)]


def test_a_node_of_another_size_gets_its_own_proposal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, *SIZE) == PROPOSAL


def test_the_configured_reserve_stands_beside_the_proposal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = run(capsys, *host(tmp_path, systemReserved={"memory": "1Gi", "cpu": "50m"}))
    assert "  reserved now  50m     1Gi" in text
    assert "too little memory and CPU is reserved now" in text


def test_kube_reserved_counts_and_stays(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    answer = report(capsys, *host(tmp_path, kubeReserved={"memory": "1Gi"}))
    whole = answer["proposed"]["reservedMemoryBytes"]
    assert answer["fragment"]["systemReserved"]["memory"] == f"{(whole - GIB) // MIB}Mi"
    assert answer["now"]["reservedMemoryBytes"] == GIB


def test_a_sufficient_reserve_is_reported_as_enough(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    answer = report(capsys, *host(tmp_path, systemReserved={"memory": "4Gi", "cpu": "1"}))
    assert answer["verdict"] == "the present reservation is enough; nothing needs to change"


def test_the_fragment_brings_what_is_proposed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    kubelet = {"kubeReserved": {"memory": "500Mi"}, "evictionHard": {"memory.available": "5%"}}
    answer = report(capsys, *host(tmp_path, **kubelet))
    merged = kubelet_configuration([kubelet, answer["fragment"]])
    assert merged.enforced_bytes(16 * GIB) == answer["proposed"]["enforcedBytes"]
    assert answer["proposed"]["reportedBytes"] == answer["proposed"]["enforcedBytes"] - 16 * GIB // 20


def test_openshift_gets_a_kubelet_config_of_a_pool(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, *SIZE, "--openshift", "--pool", "infra")
    made = yaml.safe_load(text.partition("apiVersion:")[1] + text.partition("apiVersion:")[2])
    assert made["kind"] == "KubeletConfig"
    assert made["spec"]["kubeletConfig"] == {"systemReserved": {"cpu": "110m", "memory": "5612Mi"}}
    assert list(made["spec"]["machineConfigPoolSelector"]["matchLabels"]) == [
        "pools.operator.machineconfiguration.openshift.io/infra"
    ]


def test_qos_reserved_is_computed_from_the_nodes_own_pods(capsys: pytest.CaptureFixture[str]) -> None:
    answer = report(
        capsys, *SIZE, str(EXAMPLES / "burstable-pod.yaml"), str(EXAMPLES / "guaranteed-vm-pod.yaml")
    )
    asked, enforced = answer["asked"], answer["proposed"]["enforcedBytes"]
    assert asked == {"guaranteedBytes": 2444 * MIB, "burstableBytes": 2 * GIB, "source": "2 pods"}
    assert [each["percent"] for each in answer["qosReserved"]] == [100, 50, 0]
    assert answer["qosReserved"][0]["burstableMaxBytes"] == enforced - 2444 * MIB
    assert answer["qosReserved"][0]["bestEffortMaxBytes"] == enforced - 2444 * MIB - 2 * GIB
    assert answer["qosReserved"][2]["bestEffortMaxBytes"] == enforced


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--memory", "64Gi"], "--cpu"),
        (["--cpu", "4"], "--memory"),
        (["--memory", "much", "--cpu", "4"], "--memory"),
        (["--memory", "1Gi", "--cpu", "0"], "--cpu"),
    ],
)
def test_an_incomplete_or_invalid_size_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["node", "reserve", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_unreadable_files_are_named_and_the_proposal_still_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    where = host(tmp_path)
    (tmp_path / "etc/kubelet.json").unlink()
    assert main(["node", "reserve", *where]) == 0
    said = capsys.readouterr()
    assert "the kubelet's configuration is not readable" in said.err
    assert "proposed" in said.out


def test_huge_pages_are_neither_allocatable_nor_reserved_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_node(tmp_path, mem_total_bytes=64 * GIB)
    build_tree(tmp_path, {"proc/meminfo": f"MemTotal: {64 << 20} kB\nHugetlb: {48 << 20} kB\n"})
    build_tree(
        tmp_path, {"proc/7/cmdline": "kubelet\0--config=/k/k.yaml\0", "k/k.yaml": "failSwapOn: false\n"}
    )

    found = json.loads(run(capsys, "--fsroot", str(tmp_path), "--output", "json"))

    assert found["hugePagesBytes"] == 48 * GIB
    assert found["now"]["reportedBytes"] == 16 * GIB - 100 * MIB
    assert found["proposed"]["reservedMemoryBytes"] == 2663 * MIB
    assert "48Gi are huge pages" in run(capsys, "--fsroot", str(tmp_path))
