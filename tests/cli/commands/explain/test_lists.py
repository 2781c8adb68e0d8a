"""Whole lists: one bad object ends nothing, several inputs are one, a Node in the list is the node."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from overbook.cli import main
from tests.explain.inputs import GI, owned, pod, resources, workload

NODE = ["--node-memory", "16Gi", "--percent", "150"]
BAD = pod("bad", resources(requests={"memory": "much"}))


def listed(*items: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    def give(*manifests: Any, between: str = "") -> None:
        data = between.join(json.dumps(manifest) for manifest in manifests).encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


def report(
    capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0
) -> tuple[dict[str, Any], str]:
    assert main(["explain", "-", *arguments, "--output", "json"]) == status
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


@pytest.mark.parametrize(
    ("bad", "parts"),
    [
        (BAD, ["item 2: Pod lab/bad: ", "requests.memory", "'much'"]),
        (pod("bad", {"containers": "none"}), ["item 2: Pod lab/bad", "spec.containers"]),
        (pod("bad", {"containers": []}), ["item 2: Pod lab/bad: spec.containers", "at least one container"]),
        (workload("Deployment", "apps/v1", "bad", {}), ["item 2: Deployment lab/bad", "spec.template"]),
        ({"kind": "Pod"}, ["item 2: apiVersion"]),
        ("text", ["item 2", "a Kubernetes object"]),
        (pod("first"), ["item 2", "each object once"]),
        (
            workload("LimitRange", "v1", "l", {"limits": [{"type": "Container", "max": {"cpu": "x"}}]}),
            ["item 2", "'x'"],
        ),
        (
            workload("VirtualMachine", "kubevirt.io/v1", "vm", {"template": 5}),
            ["item 2: VirtualMachine lab/vm"],
        ),
    ],
)
def test_one_bad_object_is_named_and_the_rest_is_shown(
    capsys: pytest.CaptureFixture[str], stdin: Any, bad: Any, parts: list[str]
) -> None:
    stdin(listed(pod("first"), bad, pod("last")))
    answer, errors = report(capsys, *NODE, status=2)
    assert [one["name"] for one in answer["pods"]] == ["lab/first", "lab/last"]
    assert answer["totals"]["pods"] == 2
    assert len(answer["problems"]) == 1
    assert errors.count("\n") == 1
    assert all(part in errors and part in answer["problems"][0] for part in parts), errors


def test_the_text_is_shown_beside_a_bad_object_too(capsys: pytest.CaptureFixture[str], stdin: Any) -> None:
    stdin(listed(pod("first"), BAD))
    assert main(["explain", "-", *NODE]) == 2
    captured = capsys.readouterr()
    assert "Pod lab/first" in captured.out
    assert captured.err.startswith("overbook: standard input, document 1, item 2: Pod lab/bad:")


def test_many_bad_objects_are_counted(capsys: pytest.CaptureFixture[str], stdin: Any) -> None:
    stdin(listed(pod("good"), *(pod(f"bad-{n}", resources(limits={"cpu": "x"})) for n in range(30))))
    answer, errors = report(capsys, *NODE, status=2)
    assert len(answer["problems"]) == 30
    assert errors.splitlines()[-1] == "overbook: and 10 more objects"


@pytest.mark.parametrize("between", ["", "\n", "\n---\n"])
def test_several_lists_on_standard_input_are_one(
    capsys: pytest.CaptureFixture[str], stdin: Any, between: str
) -> None:
    domain = {"devices": {}, "memory": {"guest": "4Gi"}}
    instance = workload("VirtualMachineInstance", "kubevirt.io/v1", "vm", {"domain": domain})
    launcher = pod("virt-launcher-vm-x", uid="u1", **owned("VirtualMachineInstance", "vm", "kubevirt.io/v1"))
    stdin(listed(launcher), listed(instance), between=between)
    answer, _ = report(capsys, *NODE)
    (one,) = answer["pods"]
    assert (one["name"], one["guestBytes"], one["guestFrom"]) == (
        "lab/virt-launcher-vm-x",
        4 * GI,
        "Manifest",
    )


def test_a_pod_of_two_lists_is_counted_once(capsys: pytest.CaptureFixture[str], stdin: Any) -> None:
    stdin(listed(pod("a", uid="u1"), pod("b", uid="u2")), listed(pod("a", uid="u1")))
    answer, _ = report(capsys, *NODE)
    assert answer["totals"]["pods"] == 2
    assert answer["ignored"] == {"repeated Pod": 1}


def node(name: str = "w1", **status: Any) -> dict[str, Any]:
    status = {"capacity": {"memory": "64Gi", "cpu": "16"}, **status}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status}


def test_a_node_in_the_list_is_the_node(capsys: pytest.CaptureFixture[str], stdin: Any) -> None:
    info = {"kubeletVersion": "v1.37.1", "swap": {"capacity": 8 * GI}}
    stdin(listed(node(allocatable={"memory": "60Gi", "cpu": "15"}, nodeInfo=info), pod()))
    answer, _ = report(capsys)
    shown = answer["node"]
    assert (shown["memoryBytes"], shown["memoryFrom"]) == (64 * GI, "Node w1")
    assert (shown["swapBytes"], shown["swapFrom"]) == (8 * GI, "Node w1")
    assert (shown["cpuMilli"], shown["kubernetes"], shown["percent"]) == (16000, "1.37", 112)
    assert shown["allocatable"] == {"cpuMilli": 15000, "memoryBytes": 60 * GI}
    assert answer["ignored"] == {}


def test_options_win_over_the_node_in_the_list(capsys: pytest.CaptureFixture[str], stdin: Any) -> None:
    stdin(listed(node(nodeInfo={"kubeletVersion": "v1.37.1"}), pod()))
    answer, _ = report(capsys, "--node-memory", "8Gi", "--kubernetes-version", "1.36")
    assert (answer["node"]["memoryBytes"], answer["node"]["kubernetes"]) == (8 * GI, "1.36")


def test_of_several_nodes_one_is_chosen_by_name(capsys: pytest.CaptureFixture[str], stdin: Any) -> None:
    small = node("w2", capacity={"memory": "16Gi", "cpu": "4"})
    on_w2 = pod("a", {**resources(requests={"memory": "1Gi"}), "nodeName": "w2"})
    stdin(listed(node(), small, on_w2))
    answer, _ = report(capsys, "--on-node", "w2")
    assert (answer["node"]["memoryBytes"], answer["node"]["cpuMilli"]) == (16 * GI, 4000)
    stdin(listed(node(), small, on_w2))
    answer, _ = report(capsys)
    assert "NodeNotChosen" in [one["word"] for one in answer["warnings"]]


def test_a_request_beyond_allocatable_never_starts(capsys: pytest.CaptureFixture[str], stdin: Any) -> None:
    big = pod("a", resources(requests={"memory": "62Gi", "cpu": "1"}))
    stdin(listed(node(allocatable={"memory": "60Gi", "cpu": "15"}), big))
    answer, _ = report(capsys)
    assert "the node allows pods 60Gi: it never starts" in answer["pods"][0]["warnings"][0]["sentence"]


def test_an_object_without_use_is_said(capsys: pytest.CaptureFixture[str], stdin: Any) -> None:
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}
    stdin(listed(pod(), workload("HorizontalPodAutoscaler", "autoscaling/v2", "web", spec)))
    answer, _ = report(capsys, *NODE)
    assert answer["ignored"] == {"HorizontalPodAutoscaler": 1}


def test_an_overcommit_in_the_list_gives_the_percentage(
    capsys: pytest.CaptureFixture[str], stdin: Any
) -> None:
    overcommit = {
        "apiVersion": "overbook.dev/v1alpha1",
        "kind": "Overcommit",
        "metadata": {"name": "cluster"},
        "spec": {"percentage": 180},
    }
    stdin(listed(overcommit, pod()))
    answer, _ = report(capsys, "--node-memory", "10Gi")
    assert (answer["node"]["percent"], answer["node"]["percentFrom"]) == (180, "Overcommit/cluster")
    assert answer["node"]["swapBytes"] == 8 * GI
    stdin(listed(overcommit, pod()))
    assert report(capsys, *NODE)[0]["node"]["percent"] == 150


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["explain", "-", "--node-memory", "16"], "16Gi?"),
        (["explain", "-", "--node-memory", "16Gi", "--node-swap", "8"], "8Gi?"),
        (["swap-size", "--ram", "16", "--overcommit", "150"], "16Gi?"),
        (["swap-size", "--ram", "1.5", "--overcommit", "150"], "1.5Gi?"),
        (["node", "reserve", "--memory", "64", "--cpu", "8"], "64Gi?"),
    ],
)
def test_a_size_without_its_unit_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], meant: str
) -> None:
    assert main(arguments) == 2
    assert meant in capsys.readouterr().err


def test_a_size_in_bytes_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["swap-size", "--ram", "17179869184", "--overcommit", "150"]) == 0
    assert "8Gi" in capsys.readouterr().out


def test_less_than_100_percent_needs_no_swap(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["swap-size", "--ram", "16Gi", "--overcommit", "99"]) == 0
    text = capsys.readouterr().out
    assert "16Gi × -0.01" in text
    assert "0, as less than 100 % needs no swap" in text


def test_a_wrong_kubernetes_version_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-", "--node-memory", "1Gi", "--kubernetes-version", "new"]) == 2
    assert "such as 1.36" in capsys.readouterr().err


def test_an_object_that_is_not_counted_is_in_the_text(capsys: pytest.CaptureFixture[str], stdin: Any) -> None:
    template = {"template": {"spec": resources(requests={"memory": "1Gi"})}}
    stdin(listed(pod(), workload("Deployment", "apps/v1", "web", {"replicas": 0, **template})))
    assert main(["explain", "-", *NODE]) == 0
    text = capsys.readouterr().out
    assert "Deployment lab/web  0 replicas  would request cpu -, memory 1Gi" in text
    assert "left out: 1 Deployment (0 replicas)" in text


def test_json_of_many_pods_is_the_same_text(
    capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    path = tmp_path / "pods.json"
    path.write_text(json.dumps(listed(*(pod(f"p{n}", uid=f"u{n}") for n in range(2100)))), "utf-8")
    assert main(["explain", str(path), *NODE, "--output", "json"]) == 0
    text = capsysbinary.readouterr().out.decode()
    assert len(json.loads(text)["pods"]) == 2100
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


WRITER = """
import json, sys
pod = json.loads(sys.argv[1])
print('{"apiVersion": "v1", "items": [')
for number in range(int(sys.argv[2])):
    pod["metadata"].update(name=f"p{number}", uid=f"u{number}")
    print(("," if number else "") + json.dumps(pod, indent=4))
print('], "kind": "List"}')
"""
PEAK = """
import sys
from overbook.cli import main
status = main(sys.argv[1:])
# Not ru_maxrss: a child begins with its parent's.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024, file=sys.stderr)
raise SystemExit(status)
"""


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_long_stream_needs_little_memory(form: str) -> None:
    annotations = {"filler": "x" * 2000}
    one = json.dumps(pod("p", annotations=annotations))
    with subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-c", WRITER, one, "30000"], stdout=subprocess.PIPE
    ) as writer:
        ended = subprocess.run(  # noqa: S603 - ours
            [sys.executable, "-c", PEAK, "explain", "-", *NODE, "--output", form],
            stdin=writer.stdout,
            capture_output=True,
            check=True,
        )
    assert writer.returncode == 0
    assert int(ended.stderr) < 150
    assert b"p29999" in ended.stdout


def test_long_yaml_is_read_object_by_object(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("overbook.kube.files.sources.AT_ONCE_BYTES", 100)
    one = (
        "- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: p{}\n  spec:\n    containers:\n    - name: a\n"
    )
    items = "".join(one.format(number) for number in range(50))
    path = tmp_path / "pods.yaml"
    path.write_text(f"apiVersion: v1\nitems:\n{items}kind: List\n", "utf-8")
    assert main(["explain", str(path), *NODE, "--output", "json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["totals"]["pods"] == 50
    assert "pods.yaml is long YAML" in captured.err


@pytest.mark.parametrize(
    "status",
    [
        {"capacity": {"memory": "0"}},
        {"capacity": {"memory": 2**63}},
        {"nodeInfo": {"swap": {"capacity": 2**63}}},
        {"capacity": {}},
        {"nodeInfo": {"kubeletVersion": "N/A"}},
        {"nodeInfo": {"kubeletVersion": "v1.36.0", "swap": {"capacity": -1}}},
    ],
)
def test_a_node_with_odd_figures_ends_nothing(
    capsys: pytest.CaptureFixture[str], stdin: Any, status: dict[str, Any]
) -> None:
    stdin(listed(node(**status), pod()))
    answer, _ = report(capsys)
    assert answer["totals"]["pods"] == 1
