"""VMs in the input of ``explain``: each test is a kind of mistake that a report about VMs could make."""

import json
from pathlib import Path
from typing import Any

import pytest

from overbook.cli import main

KUBEVIRT = {
    "apiVersion": "kubevirt.io/v1",
    "kind": "KubeVirt",
    "metadata": {"name": "kubevirt", "namespace": "kubevirt"},
    "spec": {"configuration": {"developerConfiguration": {"memoryOvercommit": 200, "cpuAllocationRatio": 4}}},
}
HYPERCONVERGED = {
    "apiVersion": "hco.kubevirt.io/v1beta1",
    "kind": "HyperConverged",
    "metadata": {"name": "kubevirt-hyperconverged", "namespace": "openshift-cnv"},
    "spec": {"higherWorkloadDensity": {"memoryOvercommitPercentage": 125}},
}
GI = 1 << 30
MI = 1 << 20


def vm(domain: dict[str, Any], name: str = "desk", **spec: Any) -> dict[str, Any]:
    template = {
        "metadata": spec.pop("template_metadata", {}),
        "spec": {"domain": domain, **spec.pop("vmi", {})},
    }
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name, "namespace": "lab", **spec.pop("metadata", {})},
        "spec": {"runStrategy": "Always", "template": template, **spec},
        **spec.pop("object", {}),
    }


class Explain:
    def __init__(self, capsys: pytest.CaptureFixture[str], path: Path) -> None:
        self.capsys, self.path = capsys, path

    def text(self, *objects: dict[str, Any], percent: int | None = 150) -> str:
        self.path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}), "utf-8")
        arguments = ["explain", str(self.path), "--node-memory", "64Gi"]
        if percent is not None:
            arguments += ["--percent", str(percent)]
        assert main(arguments) == 0
        return self.capsys.readouterr().out

    def report(self, *objects: dict[str, Any], percent: int | None = 150) -> Any:
        self.path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}), "utf-8")
        arguments = ["explain", str(self.path), "--node-memory", "64Gi", "--output", "json"]
        if percent is not None:
            arguments += ["--percent", str(percent)]
        assert main(arguments) == 0
        return json.loads(self.capsys.readouterr().out)

    def pod(self, *objects: dict[str, Any], percent: int | None = 150) -> Any:
        (pod,) = self.report(*objects, percent=percent)["pods"]
        return pod


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Explain:
    return Explain(capsys, tmp_path / "input.json")


def compute(pod: Any) -> Any:
    (found,) = (one for one in pod["containers"] if one["name"] == "compute")
    return found


def words(pod: Any) -> list[str]:
    return [warning["word"] for warning in pod["warnings"]]


def amounts(cpu: int | None, memory: int | None) -> dict[str, int | None]:
    return {"cpuMilli": cpu, "memoryBytes": memory}


def test_limits_alone_make_a_vm_guaranteed(explain: Explain) -> None:
    pod = explain.pod(vm({"resources": {"limits": {"cpu": "2", "memory": "4Gi"}}}))
    both = amounts(2000, 4492 * MI)
    assert (compute(pod)["requests"], compute(pod)["limits"]) == (both, both)
    assert (pod["qosClass"], pod["guestBytes"], pod["swapMaxBytes"]) == ("Guaranteed", 4 * GI, 0)
    assert compute(pod)["oomScoreAdj"] == -997


def test_a_cpu_limit_is_the_cpu_request(explain: Explain) -> None:
    pod = explain.pod(vm({"memory": {"guest": "4Gi"}, "resources": {"limits": {"cpu": "4"}}}))
    assert (compute(pod)["requests"]["cpuMilli"], compute(pod)["limits"]["cpuMilli"]) == (4000, 4000)


@pytest.mark.parametrize(
    ("domain", "memory_mib", "guest"),
    [
        (
            {"cpu": {"model": "host-passthrough"}, "resources": {"requests": {"cpu": "4", "memory": "4Gi"}}},
            4416,
            4 * GI,
        ),
        (
            {
                "cpu": {"dedicatedCpuPlacement": True},
                "resources": {"limits": {"cpu": "4", "memory": "4Gi"}},
            },
            4508,
            4 * GI,
        ),
    ],
)
def test_vcpus_without_a_topology_cost_memory_too(
    explain: Explain, domain: dict[str, Any], memory_mib: int, guest: int
) -> None:
    pod = explain.pod(vm(domain))
    assert compute(pod)["requests"]["memoryBytes"] // MI == memory_mib
    assert pod["guestBytes"] == guest


@pytest.mark.parametrize(
    "memory",
    [
        {"hugepages": {"pageSize": "2Mi"}, "resources": {"requests": {"memory": "4Gi"}}},
        {"hugepages": {"pageSize": "1Gi"}, "guest": "4Gi"},
        {"hugepages": {"pageSize": "1Gi"}, "resources": {"limits": {"memory": "4Gi"}}},
    ],
)
def test_a_guest_on_large_pages_is_covered_by_them(explain: Explain, memory: dict[str, Any]) -> None:
    resources = memory.pop("resources", {})
    machine = vm({"memory": memory, "resources": resources})
    pod = explain.pod(machine, percent=150)
    assert (pod["guestBytes"], pod["hugepagesBytes"]) == (4 * GI, 4 * GI)
    text = explain.text(machine)
    assert "large pages 4Gi, request and swap:" in text
    assert "not covered" not in text


def test_annotations_of_the_template_alone_reach_the_pod(explain: Explain) -> None:
    domain = {"memory": {"guest": "4Gi"}}
    switch = {"annotations": {"overbook.dev/swap": "disabled"}}
    assert explain.pod(vm(domain, template_metadata=switch))["swapMaxBytes"] == 0
    assert explain.pod(vm(domain, metadata=switch))["swapMaxBytes"] > 0


def test_stopped_vms_and_ended_instances_are_no_pods(explain: Explain) -> None:
    domain = {"memory": {"guest": "12Gi"}}
    ended = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": "done", "namespace": "lab"},
        "spec": {"domain": domain},
        "status": {"phase": "Succeeded"},
    }
    old = vm(domain, "old", running=False)
    del old["spec"]["runStrategy"]
    report = explain.report(
        vm({"memory": {"guest": "4Gi"}}, "on"), vm(domain, "off", runStrategy="Halted"), old, ended
    )
    assert (report["totals"]["pods"], report["totals"]["guestBytes"]) == (1, 4 * GI)
    assert report["ignored"] == {"finished VirtualMachineInstance": 1, "stopped VirtualMachine": 2}


def test_an_instancetype_may_come_before_or_after_its_vm(explain: Explain) -> None:
    instancetype = {
        "apiVersion": "instancetype.kubevirt.io/v1beta1",
        "kind": "VirtualMachineInstancetype",
        "metadata": {"name": "small", "namespace": "lab"},
        "spec": {"cpu": {"guest": 2}, "memory": {"guest": "4Gi", "overcommitPercent": 50}},
    }
    machine = vm({}, instancetype={"kind": "VirtualMachineInstancetype", "name": "small"})
    for objects in ((instancetype, machine), (machine, instancetype)):
        pod = explain.pod(*objects)
        assert pod["guestBytes"] == 4 * GI
        assert compute(pod)["requests"]["memoryBytes"] // MI == 2048 + 300
        assert words(pod) == ["RequestByHand"]
    assert words(explain.pod(machine)) == ["InstancetypeNotRead"]


def test_quotas_of_the_namespace_bring_limits(explain: Explain) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": "lab"},
        "spec": {"hard": {"limits.memory": "64Gi", "limits.cpu": "8"}},
    }
    machine = vm({"cpu": {"cores": 2}, "memory": {"guest": "4Gi"}})
    pod = explain.pod(machine, quota, percent=100)
    assert compute(pod)["limits"] == amounts(2000, 2 * 4392 * MI)
    elsewhere = {**quota, "metadata": {"name": "q", "namespace": "other"}}
    assert compute(explain.pod(machine, elsewhere, percent=100))["limits"] == amounts(None, None)
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "lab", "labels": {"alpha.kubevirt.io/auto-memory-limits-ratio": "1.5"}},
    }
    limited = explain.pod(machine, quota, namespace, percent=100)
    assert compute(limited)["limits"]["memoryBytes"] == 4392 * MI * 3 // 2


def test_settings_come_from_kubevirt_or_hyperconverged_objects(explain: Explain) -> None:
    machine = vm({"cpu": {"cores": 2}, "memory": {"guest": "4Gi"}})
    report = explain.report(HYPERCONVERGED, machine, KUBEVIRT, percent=None)
    assert (report["node"]["percent"], report["node"]["percentFrom"]) == (200, "KubeVirt kubevirt/kubevirt")
    assert compute(report["pods"][0])["requests"] == amounts(500, 2 * GI + 296 * MI)
    assert report["ignored"] == {}
    alone = explain.report(HYPERCONVERGED, machine, percent=None)
    assert alone["node"]["percent"] == 125
    option = explain.report(machine, KUBEVIRT, percent=100)
    assert option["node"]["percentFrom"] == "--percent"
    assert compute(option["pods"][0])["requests"] == amounts(500, 4392 * MI)


def test_a_limit_below_the_guest_is_a_danger(explain: Explain) -> None:
    pod = explain.pod(vm({"memory": {"guest": "8Gi"}, "resources": {"limits": {"memory": "4Gi"}}}))
    dangers = [one["word"] for one in pod["warnings"] if one["severity"] == "Danger"]
    assert dangers == ["LimitBelowGuest"]


@pytest.mark.parametrize(
    "domain",
    [
        {},
        {"memory": {"guest": "4Gi"}, "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}},
        {"memory": {"guest": "3Mi", "hugepages": {"pageSize": "2Mi"}}},
    ],
)
def test_a_vm_that_kubevirt_refuses_is_said_to_be_refused(explain: Explain, domain: dict[str, Any]) -> None:
    pod = explain.pod(vm(domain))
    refused = [one for one in pod["warnings"] if one["word"] == "VmRefused"]
    assert [one["severity"] for one in refused] == ["Refused"]


def launcher(request: int, overhead: int, **resources: Any) -> dict[str, Any]:
    owner = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "name": "v",
        "uid": "u",
        "controller": True,
    }
    requests = {"cpu": "200m", "memory": str(request), **resources}
    limits = resources or None
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "virt-launcher-v-1",
            "namespace": "lab",
            "annotations": {"kubevirt.io/memory-overhead-bytes": str(overhead)},
            "ownerReferences": [owner],
        },
        "spec": {"containers": [{"name": "compute", "resources": {"requests": requests, "limits": limits}}]},
    }


@pytest.mark.parametrize("size", ["4Gi", "3G", "5000Mi"])
def test_a_launcher_pod_shows_a_request_that_was_written_by_hand(explain: Explain, size: str) -> None:
    made = explain.pod(vm({"resources": {"requests": {"memory": size}}}))
    request, overhead = compute(made)["requests"]["memoryBytes"], made["overheadBytes"]
    alone = explain.pod(launcher(request, overhead))
    assert (alone["guestBytes"], words(alone)) == (made["guestBytes"], ["GuestUncertain"])


@pytest.mark.parametrize("guest", [1 << 30, 3 << 29, 2 << 30, 3 << 30, 4 << 30, 6 << 30])
@pytest.mark.parametrize("extra_mib", [0, 53, 110, 120, 1, 1024 + 53, 53 + 1])
def test_a_launcher_pod_shows_a_computed_request(explain: Explain, guest: int, extra_mib: int) -> None:
    overhead = (296 + extra_mib) * MI
    computed = explain.pod(launcher(guest * 100 // 150 + overhead, overhead))
    assert (computed["guestBytes"], words(computed)) == (guest, [])


def test_a_launcher_pod_shows_large_pages(explain: Explain) -> None:
    pages = explain.pod(launcher(296 * MI, 296 * MI, **{"hugepages-2Mi": "4Gi"}))
    assert (pages["guestBytes"], pages["hugepagesBytes"], words(pages)) == (4 * GI, 4 * GI, [])


def test_the_containers_beside_compute_are_shown_and_summed(explain: Explain) -> None:
    disks = {"volumes": [{"name": "root", "containerDisk": {"image": "i"}}]}
    pod = explain.pod(vm({"memory": {"guest": "4Gi"}}, vmi=disks), percent=100)
    assert [(one["name"], one["role"]) for one in pod["containers"]] == [
        ("guest-console-log", "Sidecar"),
        ("volumeroot", "Init"),
        ("compute", "Container"),
    ]
    assert pod["requests"] == amounts(105, 4384 * MI + 35_000_000)


def test_a_critical_vm_never_swaps(explain: Explain) -> None:
    spec = {"priorityClassName": "system-cluster-critical"}
    pod = explain.pod(vm({"memory": {"guest": "4Gi"}}, vmi=spec))
    assert (pod["priority"], pod["critical"], pod["swapMaxBytes"]) == (2_000_000_000, True, 0)


def test_replicated_vms_are_shown_with_their_number(explain: Explain) -> None:
    template = {"spec": {"domain": {"memory": {"guest": "4Gi"}}}}
    pool = {
        "apiVersion": "pool.kubevirt.io/v1beta1",
        "kind": "VirtualMachinePool",
        "metadata": {"name": "pool", "namespace": "lab"},
        "spec": {
            "replicas": 3,
            "virtualMachineTemplate": {"spec": {"runStrategy": "Always", "template": template}},
        },
    }
    replica_set = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceReplicaSet",
        "metadata": {"name": "set", "namespace": "lab"},
        "spec": {"replicas": 2, "template": template},
    }
    pods = explain.report(pool, replica_set)["pods"]
    assert [(pod["kind"], pod["replicas"], pod["guestBytes"]) for pod in pods] == [
        ("VirtualMachinePool", 3, 4 * GI),
        ("VirtualMachineInstanceReplicaSet", 2, 4 * GI),
    ]


def test_objects_about_vms_alone_are_left_out_without_a_vm(explain: Explain) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c"}]},
    }
    preference = {
        "apiVersion": "instancetype.kubevirt.io/v1beta1",
        "kind": "VirtualMachineClusterPreference",
        "metadata": {"name": "p"},
    }
    revision = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "r"}}
    assert explain.report(pod, preference, revision)["ignored"] == {
        "ControllerRevision": 1,
        "VirtualMachineClusterPreference": 1,
    }


@pytest.mark.parametrize(
    ("spec", "word"), [({"runStrategy": None}, "exactly one"), ({"running": True}, "exactly one")]
)
def test_a_vm_without_one_way_to_run_is_refused(explain: Explain, spec: dict[str, Any], word: str) -> None:
    (found,) = explain.pod(vm({"memory": {"guest": "1Gi"}}, **spec))["warnings"]
    assert found["word"] == "VmRefused"
    assert word in found["sentence"]


def test_the_default_runtime_class_adds_its_overhead_to_vms(explain: Explain) -> None:
    kata = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "kata"},
        "handler": "kata",
        "overhead": {"podFixed": {"memory": "160Mi", "cpu": "250m"}},
    }
    kubevirt = {**KUBEVIRT, "spec": {"configuration": {"defaultRuntimeClass": "kata"}}}
    domain = {"memory": {"guest": "1Gi"}}
    plain, (found,) = explain.pod(vm(domain)), explain.report(vm(domain), kata, kubevirt)["pods"]
    assert found["requests"]["memoryBytes"] - plain["requests"]["memoryBytes"] == 160 * MI


def test_of_two_percentages_it_is_said_which_counts(explain: Explain) -> None:
    domain = {"memory": {"guest": "1Gi"}}
    report = explain.report(KUBEVIRT, HYPERCONVERGED, vm(domain), percent=None)
    assert report["node"]["percent"] == 200
    (found,) = [one for one in report["warnings"] if one["word"] == "PercentagesDiffer"]
    assert "200 % of KubeVirt kubevirt/kubevirt counts" in found["sentence"]
    assert "125 %" in found["sentence"]
    for options in ({"percent": 150}, {}):
        objects = [KUBEVIRT, HYPERCONVERGED] if options else [HYPERCONVERGED]
        warnings = explain.report(*objects, vm(domain), percent=options.get("percent"))["warnings"]
        assert "PercentagesDiffer" not in [one["word"] for one in warnings]
