from typing import Any

import pytest

from overbook.core.kubevirt.definitions import VirtualMachine, decode_definition, defines_vm, has_ended


def vm(status: Any = None, **spec: Any) -> VirtualMachine:
    manifest = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": "v", "annotations": {"of": "vm"}, "labels": {"of": "vm"}},
        "spec": {"template": {"metadata": {"annotations": {"of": "template"}}, "spec": {}}, **spec},
        "status": status,
    }
    decoded, _ = decode_definition(manifest, "VirtualMachine")
    assert isinstance(decoded, VirtualMachine)
    return decoded


def test_annotations_of_a_vm_itself_do_not_reach_its_instance() -> None:
    metadata = vm().instance().metadata
    assert (metadata.name, metadata.annotations, metadata.labels) == ("v", {"of": "template"}, None)


@pytest.mark.parametrize(
    ("spec", "status", "stopped"),
    [
        ({}, None, ""),
        ({"runStrategy": "Always"}, {"printableStatus": "Stopped"}, ""),
        ({"running": True}, None, ""),
        ({"running": False}, None, "running: false"),
        ({"runStrategy": "Halted"}, None, "runStrategy Halted"),
        ({"runStrategy": "Halted"}, {"stateChangeRequests": [{"action": "Start"}]}, ""),
        ({"runStrategy": "Manual"}, None, "was not started"),
        ({"runStrategy": "Manual"}, {"created": True}, ""),
        ({"runStrategy": "Manual"}, {"stateChangeRequests": [{"action": "Stop"}]}, "was not started"),
        ({"runStrategy": "WaitAsReceiver"}, None, "was not started"),
        ({"runStrategy": "Halted"}, {"printableStatus": "Provisioning"}, "runStrategy Halted"),
        ({"runStrategy": "Halted"}, {"printableStatus": "Stopping", "created": True}, ""),
        ({"runStrategy": "Halted"}, {"printableStatus": "Stopped", "created": True}, "runStrategy Halted"),
        ({"runStrategy": "Once"}, {"printableStatus": "Stopped", "created": True}, "has ended"),
        ({"runStrategy": "Manual"}, {"printableStatus": "DataVolumeError"}, "was not started"),
        ({"runStrategy": "Manual"}, {"printableStatus": "ErrorUnschedulable"}, ""),
        ({"runStrategy": "Once"}, None, ""),
        ({"runStrategy": "Once"}, {"printableStatus": "Stopped"}, "has ended"),
        ({"runStrategy": "RerunOnFailure"}, {"printableStatus": "Running", "ready": True}, ""),
    ],
)
def test_a_vm_runs_or_not_by_its_strategy_and_status(spec: dict[str, Any], status: Any, stopped: str) -> None:
    found = vm(status, **spec).stopped_because
    assert stopped in found if stopped else not found


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({"runStrategy": "Always"}, ""),
        ({"running": False}, ""),
        ({}, "exactly one"),
        ({"running": True, "runStrategy": "Always"}, "exactly one"),
        ({"runStrategy": "Sometimes"}, "not one of"),
        ({"runStrategy": "Always", "template": None}, "template"),
    ],
)
def test_kubevirt_refuses_a_definition_without_one_way_to_run(spec: dict[str, Any], refused: str) -> None:
    found = vm(**spec).refusal
    assert refused in found if refused else not found


def test_pools_and_replica_sets_define_several() -> None:
    template = {
        "metadata": {"annotations": {"a": "1"}},
        "spec": {"domain": {"memory": {"guest": "1Gi"}}, "priorityClassName": "p"},
    }
    replica_set = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceReplicaSet",
        "metadata": {"name": "s", "namespace": "lab"},
        "spec": {"replicas": 3, "template": template},
    }
    pool = {
        "apiVersion": "pool.kubevirt.io/v1beta1",
        "kind": "VirtualMachinePool",
        "metadata": {"name": "s", "namespace": "lab"},
        "spec": {"virtualMachineTemplate": {"spec": {"runStrategy": "Always", "template": template}}},
    }
    for manifest, count in ((replica_set, 3), (pool, 1)):
        decoded, replicas = decode_definition(manifest, "it")
        instance = decoded.instance() if isinstance(decoded, VirtualMachine) else decoded
        assert (instance.label, replicas, instance.guest_bytes) == ("lab/s", count, 1 << 30)
        assert instance.metadata.annotations == {"a": "1"}
        assert instance.spec.priority_class_name == "p"
        assert defines_vm(str(manifest["kind"]), manifest["apiVersion"])


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("VirtualMachine", "vmoperator.vmware.com/v1"),
        ("VirtualMachinePool", "kubevirt.io/v1"),
        ("VirtualMachineInstancePreset", "kubevirt.io/v1"),
        ("VirtualMachine", None),
    ],
)
def test_other_kinds_define_no_vm(kind: str, version: str | None) -> None:
    assert not defines_vm(kind, version)


def test_a_final_phase_ends_an_instance() -> None:
    assert has_ended({"status": {"phase": "Succeeded"}}) == "Succeeded"
    assert has_ended({"status": {"phase": "Running"}}) == has_ended({"status": None}) == has_ended({}) == ""
