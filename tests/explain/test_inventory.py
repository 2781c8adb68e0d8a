import json
from typing import Any

import msgspec
import pytest

from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.quantity import from_raw
from overbook.core.kubevirt.memory import LauncherPolicy
from overbook.core.kubevirt.vm import is_virtual_machine_pod
from overbook.core.overcommit.namespace import outdated_fix
from overbook.explain.inventory import Inventory, take_inventory
from overbook.kube.files.json_documents import pod_list
from overbook.kube.files.manifests import read_documents

CONTAINERS = {"containers": [{"name": "c", "resources": {"requests": {"memory": "1Gi"}}}]}


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": CONTAINERS}


def listed(*items: dict[str, Any], kind: str = "List") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "items": list(items)}


def owned_by(kind: str, name: str) -> dict[str, Any]:
    return {
        "ownerReferences": [
            {"apiVersion": "x/v1", "kind": kind, "name": name, "uid": "u", "controller": True}
        ]
    }


def controller(kind: str, version: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def inventory(*manifests: dict[str, Any], percent: int = 100) -> Inventory:
    data = json.dumps(listed(*manifests)).encode()
    return take_inventory(read_documents(data, "f.json"), LauncherPolicy(percent=percent))


def names(found: Inventory) -> list[str]:
    return [one.pod.label for one in found.found]


def test_lists_are_flattened_and_items_need_no_kind() -> None:
    untyped = {"metadata": {"name": "b"}, "spec": CONTAINERS}
    assert names(inventory(pod("a"), listed(untyped, kind="PodList"))) == ["default/a", "default/b"]


@pytest.mark.parametrize(
    ("kind", "version", "spec", "replicas"),
    [
        ("Deployment", "apps/v1", {"replicas": 3, "template": {"spec": CONTAINERS}}, 3),
        ("StatefulSet", "apps/v1", {"template": {"spec": CONTAINERS}}, 1),
        ("ReplicaSet", "apps/v1", {"template": {"spec": CONTAINERS}}, 1),
        ("ReplicationController", "v1", {"replicas": 2, "template": {"spec": CONTAINERS}}, 2),
        ("DaemonSet", "apps/v1", {"template": {"spec": CONTAINERS}}, None),
        ("Job", "batch/v1", {"parallelism": 4, "template": {"spec": CONTAINERS}}, 4),
        ("CronJob", "batch/v1", {"jobTemplate": {"spec": {"template": {"spec": CONTAINERS}}}}, 1),
    ],
)
def test_a_controller_becomes_its_template(
    kind: str, version: str, spec: dict[str, Any], replicas: int | None
) -> None:
    (found,) = inventory(controller(kind, version, "w", spec, namespace="shop")).found
    assert (found.pod.label, found.replicas, found.name) == ("shop/w-*", replicas, "shop/w")
    assert found.pod.containers[0].name == "c"


def test_a_vm_becomes_a_launcher_pod_with_its_percentage() -> None:
    domain = {"memory": {"guest": "3Gi"}}
    machine = controller("VirtualMachine", "kubevirt.io/v1", "v", {"template": {"spec": {"domain": domain}}})
    (found,) = inventory(machine, percent=150).found
    assert is_virtual_machine_pod(found.pod)
    resources = found.pod.containers[0].resources
    assert resources is not None
    assert resources.requests is not None
    overhead = int(found.pod.annotations["kubevirt.io/memory-overhead-bytes"])
    assert from_raw(resources.requests["memory"]).value() == (2 << 30) + overhead


def test_an_object_with_existing_pods_is_represented_by_them() -> None:
    found = inventory(
        controller("Deployment", "apps/v1", "web", {"template": {"spec": CONTAINERS}}),
        controller(
            "ReplicaSet",
            "apps/v1",
            "web-1",
            {"template": {"spec": CONTAINERS}},
            **owned_by("Deployment", "web"),
        ),
        controller(
            "ReplicaSet",
            "apps/v1",
            "web-0",
            {"replicas": 0, "template": {"spec": CONTAINERS}},
            **owned_by("Deployment", "web"),
        ),
        pod("web-1-x", **owned_by("ReplicaSet", "web-1")),
        pod("web-1-y", **owned_by("ReplicaSet", "web-1")),
    )
    assert names(found) == ["default/web-1-x", "default/web-1-y"]


def test_a_launcher_pod_keeps_the_definition_of_its_vm() -> None:
    domain = {"memory": {"guest": "4Gi"}}
    owner = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "name": "v",
        "controller": True,
    }
    found = inventory(
        controller("VirtualMachine", "kubevirt.io/v1", "v", {"template": {"spec": {"domain": domain}}}),
        controller("VirtualMachineInstance", "kubevirt.io/v1", "v", {"domain": domain}),
        pod("virt-launcher-v-x", ownerReferences=[owner]),
    )
    assert names(found) == ["default/virt-launcher-v-x"]
    assert found.found[0].vmi is not None
    assert found.found[0].vmi.guest_bytes == 4 << 30


def test_ended_pods_and_kinds_without_pods_are_counted() -> None:
    ended = {**pod("done"), "status": {"phase": "Succeeded"}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    found = inventory(ended, service, pod("a"))
    assert names(found) == ["default/a"]
    assert found.ignored == {"finished Pod": 1, "Service": 1}


def test_namespaces_bring_their_labels() -> None:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"overbook.dev/swap": "disabled"}},
    }
    assert inventory(namespace).namespaces == {"shop": {"overbook.dev/swap": "disabled"}}


def test_two_pods_without_a_name_yet_are_two_pods() -> None:
    unnamed = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "a-"}, "spec": CONTAINERS}
    assert names(inventory(unnamed, unnamed)) == ["default/a-*", "default/a-*"]


def test_a_long_list_of_pods_decoded_directly_is_the_same() -> None:
    manifests = [pod(f"p{number}", annotations={"filler": "x" * 200}) for number in range(5000)]
    data = json.dumps(listed(*manifests)).encode()
    assert len(data) > 1 << 20
    straight = [document.manifest for document in read_documents(data, "f.json")]
    assert all(isinstance(one, Pod) for one in straight)
    assert straight == [msgspec.convert(manifest, Pod) for manifest in manifests]


@pytest.mark.parametrize(
    "other",
    [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}},
        {"metadata": {"name": "s"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": 5}},
    ],
)
def test_a_list_of_several_kinds_is_decoded_the_general_way(other: dict[str, Any]) -> None:
    assert pod_list(json.dumps(listed(pod("a"), other)).encode()) is None


def test_a_namespaces_old_annotation_is_named_with_its_remedy() -> None:
    old = {"name": "shop", "annotations": {"overbook.dev/swap": "disabled"}}
    both = {**old, "name": "both", "labels": {"overbook.dev/swap": "enabled"}}
    found = inventory(*({"apiVersion": "v1", "kind": "Namespace", "metadata": each} for each in (old, both)))
    assert found.objects.outdated_namespaces == {"shop": "disabled"}
    assert outdated_fix("shop", "disabled") == "kubectl label namespace shop overbook.dev/swap=disabled"
