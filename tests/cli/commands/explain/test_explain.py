import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from overbook.cli import main

EXAMPLES = Path(__file__).parents[4] / "examples"
NODE = ["--node-memory", "16Gi", "--percent", "150"]

VM_POD = """\
node    16Gi of RAM (--node-memory)
swap    8Gi (by the formula for --percent); 150 % (--percent)
policy  BurstableVirtualMachines may swap; allowance proportional; KubeVirt v1.10

Pod shop/virt-launcher-database-x7kqp  [FILE, document 1 (line 3)]
  QoS class   Burstable: compute has no CPU and no memory limit
  requests    cpu 200m, memory 2.96Gi
  limits      cpu -, memory -
  overcommit  cpu unbounded (no limit), memory unbounded (no limit)
  guest       4Gi + 296Mi overhead (derived from its request); request and swap: 4.43Gi, covers all
              of it
  pod cgroup  cpu.weight 8, cpu.max not set, memory.max not set
  evicted     by the kubelet among the first once it uses more than 2.96Gi (priority 0)
  CONTAINER  cpu.weight   of pod     cpu.max  memory.max  memory.swap.max  oom_score_adj
  compute            29  100.0 %  max 100000         max           1.48Gi            816
  swap        compute: 1.48Gi: Burstable, and may swap
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["explain", *arguments]) == 0
    return capsys.readouterr().out


def example(name: str) -> str:
    return str(EXAMPLES / f"{name}.yaml")


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(run(capsys, *arguments, "--output", "json"))
    return decoded


def words(pod: dict[str, Any]) -> list[str]:
    return [warning["word"] for warning in pod["warnings"]]


def test_one_pod_is_explained_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    path = example("burstable-vm-pod")
    assert run(capsys, path, *NODE).replace(path, "FILE") == VM_POD


def test_lines_of_text_fit_a_terminal_but_for_long_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = run(capsys, str(EXAMPLES), *NODE).splitlines()
    assert max(len(line) for line in lines if not line.startswith("Pod ")) <= 110


def test_the_json_has_the_documented_fields(capsys: pytest.CaptureFixture[str]) -> None:
    answer = report(capsys, example("burstable-pod"), *NODE)
    assert list(answer) == ["node", "totals", "namespaces", "pods", "killOrder", "ignored", "warnings"]
    assert answer["node"]["swapBytes"] == 8 << 30
    (pod,) = answer["pods"]
    assert pod["qosClass"] == "Burstable"
    assert pod["requests"] == {"cpuMilli": 800, "memoryBytes": 2 << 30}
    cart = pod["containers"][2]
    assert cart["name"] == "cart"
    assert cart["cpuQuotaMicros"] == 100_000
    assert cart["memoryMaxBytes"] == 2 << 30
    assert cart["swap"]["maxBytes"] == 0
    assert cart["swap"]["reason"] == "NotVirtualMachine"
    assert cart["overcommit"]["memoryPercent"] == 200
    assert [place["container"] for place in answer["killOrder"]] == ["proxy", "metrics", "cart"]
    assert words(pod) == ["InitContainerDominates", "LimitedSwapDiffers"]


def test_yaml_and_json_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    as_yaml = yaml.safe_load(run(capsys, str(EXAMPLES), *NODE, "-o", "yaml"))
    assert as_yaml == report(capsys, str(EXAMPLES), *NODE)


def test_every_example_is_explained_together(capsys: pytest.CaptureFixture[str]) -> None:
    answer = report(capsys, str(EXAMPLES), *NODE)
    assert answer["totals"]["pods"] == 7
    assert answer["totals"]["byQosClass"] == {"BestEffort": 1, "Burstable": 4, "Guaranteed": 2}
    assert answer["totals"]["overcommitted"]
    swapping = {pod["object"] for pod in answer["pods"] if pod["swapMaxBytes"]}
    assert swapping == {"shop/virt-launcher-database-x7kqp", "shop/web"}
    assert answer["killOrder"][0]["pod"] == "batch/report"
    shares = [pod["cpuShareOfNodePercent"] for pod in answer["pods"]]
    assert sum(shares) == pytest.approx(100, abs=0.5)


def test_a_vm_fits_with_the_formulas_swap_and_not_with_less(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = example("virtual-machine")
    assert "covers all of it" in " ".join(run(capsys, path, *NODE).split())
    text = " ".join(run(capsys, path, *NODE, "--node-swap", "4Gi").split())
    assert "are not covered" in text
    assert "danger: 150 % needs 8Gi of swap, and the node has 4Gi" in text


def test_dedicated_cpus_are_dangerous_with_a_percentage_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = example("virtual-machine-pinned")
    (pod,) = report(capsys, path, *NODE)["pods"]
    assert pod["warnings"][0]["severity"] == "Danger"
    (pod,) = report(capsys, path, "--node-memory", "16Gi", "--percent", "100")["pods"]
    assert words(pod) == []


def test_a_namespace_takes_its_pods_out_of_swap(capsys: pytest.CaptureFixture[str]) -> None:
    namespace = str(EXAMPLES / "namespaces")
    (pod,) = report(capsys, example("burstable-vm-pod"), namespace, *NODE)["pods"]
    assert pod["containers"][0]["swap"]["reason"] == "DisabledOnNamespace"


@pytest.mark.parametrize(
    ("options", "swap_bytes"),
    [
        (["--eligibility", "Burstable"], 1 << 29),
        (["--eligibility", "Burstable", "--allowance", "whole"], 1 << 30),
        (["--eligibility", "Burstable", "--allowance", "pooled", "--pooled-share", "0.01"], (8 << 30) // 100),
    ],
)
def test_allowance_and_eligibility_are_options(
    capsys: pytest.CaptureFixture[str], options: list[str], swap_bytes: int
) -> None:
    (pod,) = report(capsys, example("burstable-pod"), *NODE, *options)["pods"]
    assert pod["containers"][2]["swap"]["maxBytes"] == swap_bytes


def test_cpu_limits_have_no_effect_without_cpu_quota(capsys: pytest.CaptureFixture[str]) -> None:
    (pod,) = report(capsys, example("burstable-pod"), *NODE, "--no-cpu-quota")["pods"]
    assert {container["cpuQuotaMicros"] for container in pod["containers"]} == {None}


def test_explain_names_the_effects_of_no_cpu_quota(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(run(capsys, example("burstable-pod"), *NODE, "--no-cpu-quota").split())
    assert "CPU limits are not enforced (--no-cpu-quota)" in text
    assert (
        "CPU quota off: cpu.max is max and no container waits; with it these limits would apply, also on an "
        "idle node: cart 1 (cpu.max 100000 100000). Without it the limit still decides the QoS class "
        "(Burstable), is the default of the request, and counts in a ResourceQuota; cpu.weight, eviction "
        "and oom_score_adj do not change"
    ) in text


@pytest.mark.parametrize("name", ["burstable-pod", "guaranteed-vm-pod", "besteffort-pod", "deployment"])
def test_only_cpu_max_differs_between_quota_and_none(capsys: pytest.CaptureFixture[str], name: str) -> None:
    (with_quota,) = report(capsys, example(name), *NODE, "--cpu-quota")["pods"]
    (without,) = report(capsys, example(name), *NODE, "--no-cpu-quota")["pods"]
    change = with_quota["cpuQuota"]
    assert change["enforced"]
    assert not without["cpuQuota"]["enforced"]
    assert change["containers"] == without["cpuQuota"]["containers"]
    assert change["podQuotaMicros"] == with_quota["cpuQuotaMicros"]
    assert {each["name"]: each["quotaMicros"] for each in change["containers"]} == {
        each["name"]: each["cpuQuotaMicros"] for each in with_quota["containers"] if each["cpuQuotaMicros"]
    }
    for pod in (with_quota, without):
        del pod["cpuQuota"], pod["cpuQuotaMicros"]
        for each in pod["containers"]:
            del each["cpuQuotaMicros"]
    assert with_quota == without


def test_a_pod_without_cpu_limits_is_the_same_without_quota(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (pod,) = report(capsys, example("besteffort-pod"), *NODE, "--no-cpu-quota")["pods"]
    assert pod["cpuQuota"]["sentence"] == "it has no CPU limit, so the quota makes no difference"


def test_many_pods_are_a_line_each_unless_details_are_requested(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    base = yaml.safe_load(Path(example("burstable-pod")).read_text("utf-8"))
    items = [{**base, "metadata": {"name": f"cart-{number}", "namespace": "shop"}} for number in range(30)]
    path = tmp_path / "pods.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), "utf-8")
    short = run(capsys, str(path), *NODE)
    assert "shop/cart-29  Burstable" in short
    assert "oom_score_adj " not in short
    assert "30 pods together" in short
    assert run(capsys, str(path), *NODE, "--details").count("QoS class") == 30


def test_pods_alike_but_for_name_and_node_get_the_same_answer(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    base = yaml.safe_load(Path(example("burstable-vm-pod")).read_text("utf-8"))
    named = [{**base, "metadata": {**base["metadata"], "name": f"p{number}"}} for number in range(3)]
    named[2]["metadata"]["annotations"] = {"overbook.dev/swap": "disabled"}
    path = tmp_path / "pods.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": named}), "utf-8")
    pods = report(capsys, str(path), *NODE)["pods"]
    assert [pod["name"] for pod in pods] == ["shop/p0", "shop/p1", "shop/p2"]
    assert [bool(pod["swapMaxBytes"]) for pod in pods] == [True, True, False]
    del pods[0]["name"], pods[0]["object"], pods[0]["where"]
    del pods[1]["name"], pods[1]["object"], pods[1]["where"]
    assert pods[0] == pods[1]


def test_a_request_above_its_limit_is_named_as_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = {"requests": {"memory": "2Gi", "cpu": "2"}, "limits": {"memory": "1Gi", "cpu": "1"}}
    container = {"name": "c", "resources": resources}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
    standard_input = io.TextIOWrapper(io.BytesIO(json.dumps(pod).encode()))
    monkeypatch.setattr("sys.stdin", standard_input)
    (explained,) = report(capsys, "-", *NODE)["pods"]
    assert [warning["severity"] for warning in explained["warnings"]][:2] == ["Refused", "Refused"]


def test_an_instancetype_is_reported_as_not_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    manifest = yaml.safe_load(Path(example("virtual-machine")).read_text("utf-8"))
    manifest["spec"]["instancetype"] = {"name": "u1.large"}
    del manifest["spec"]["template"]["spec"]["domain"]["memory"]
    path = tmp_path / "vm.json"
    path.write_text(json.dumps(manifest), "utf-8")
    (pod,) = report(capsys, str(path), *NODE)["pods"]
    assert words(pod) == ["InstancetypeNotRead"]
