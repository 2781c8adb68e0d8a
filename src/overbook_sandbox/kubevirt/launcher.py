"""A virtual machine's pod, as KubeVirt renders it (`pkg/virt-controller/services/template.go`).

The requests are KubeVirt's. The container is described by the VM's annotation
`sandbox.overbook.dev/pod-spec`, which has fields of a PodSpec; its `containers[0]` becomes `compute`.
"""

from typing import Any, Final

import msgspec

from overbook.core.kubernetes.pod import convert
from overbook.core.kubernetes.resources import Amounts
from overbook.core.kubevirt.memory import LauncherPolicy, launcher_memory
from overbook.core.kubevirt.overhead import OVERHEAD_ANNOTATION
from overbook.core.kubevirt.vm import COMPUTE_CONTAINER, INSTANCE_KIND, VirtualMachineInstance
from overbook_sandbox.kubevirt.documents import (
    APP_LABEL,
    CREATED_BY_LABEL,
    DOMAIN_ANNOTATION,
    INSTANCES,
    LAUNCHER,
    MIGRATION_LABEL,
    KubeVirtDocument,
)

POD_SPEC_ANNOTATION: Final = "sandbox.overbook.dev/pod-spec"
OVERHEAD_BYTES_ANNOTATION: Final = "sandbox.overbook.dev/overhead-bytes"
"""An annotation of a VM: the overhead here, which is less than that of KubeVirt's own programs."""
READINESS_GATE: Final = "kubevirt.io/virtual-machine-unpaused"

_HOST_TOPOLOGY: Final = "kubernetes.io/hostname"


def launcher_pod(instance: KubeVirtDocument, percent: int) -> dict[str, Any]:
    """The first pod of a VM.

    Args:
        instance: The VM.
        percent: The cluster's memory overcommit percentage.

    Raises:
        InvalidInput: The VM's manifest or its annotation is invalid.
    """
    spec, overhead_bytes = _rendered(instance, percent)
    return _pod(instance, spec, overhead_bytes, {})


def target_pod(instance: KubeVirtDocument, migration: KubeVirtDocument, percent: int) -> dict[str, Any]:
    """The target pod of a live migration: rendered anew, for another node.

    Args:
        instance: The VM.
        migration: The migration.
        percent: The cluster's memory overcommit percentage of this moment.
    """
    spec, overhead_bytes = _rendered(instance, percent)
    spec.pop("nodeName", None)
    term = {
        "labelSelector": {"matchLabels": {CREATED_BY_LABEL: instance.uid}},
        "topologyKey": _HOST_TOPOLOGY,
    }
    spec["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    pod = _pod(instance, spec, overhead_bytes, {MIGRATION_LABEL: migration.uid})
    pod["metadata"]["annotations"]["kubevirt.io/migrationJobName"] = migration.metadata.name
    return pod


def _rendered(instance: KubeVirtDocument, percent: int) -> tuple[dict[str, Any], int]:
    """The PodSpec of a VM, and its overhead in bytes."""
    manifest = {"metadata": {"name": instance.metadata.name}, "spec": instance.spec}
    vmi = convert(manifest, VirtualMachineInstance, f"{INSTANCE_KIND} {instance.metadata.name}")
    overhead = instance.annotations.get(OVERHEAD_BYTES_ANNOTATION)
    memory = launcher_memory(
        vmi,
        LauncherPolicy(percent=percent),
        known_overhead_bytes=None if overhead is None else int(overhead),
    )
    given = msgspec.json.decode(instance.annotations.get(POD_SPEC_ANNOTATION, "{}"))
    first, *others = given.pop("containers", [{}])
    resources = {
        "requests": _resource_list(memory.resources.requests),
        "limits": _resource_list(memory.resources.limits),
    }
    compute = {"image": LAUNCHER, "resources": resources, **first, "name": COMPUTE_CONTAINER}
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "readinessGates": [{"conditionType": READINESS_GATE}],
        "terminationGracePeriodSeconds": 30,
        **given,
        "containers": [compute, *others],
    }
    return spec, memory.overhead_bytes


def _pod(
    instance: KubeVirtDocument, spec: dict[str, Any], overhead_bytes: int, labels: dict[str, str]
) -> dict[str, Any]:
    name = instance.metadata.name
    owner = {
        "apiVersion": INSTANCES.api_version,
        "kind": INSTANCES.kind,
        "name": name,
        "uid": instance.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "metadata": {
            "generateName": f"virt-launcher-{name}-",
            "namespace": instance.namespace,
            "labels": {
                **instance.labels,
                APP_LABEL: LAUNCHER,
                CREATED_BY_LABEL: instance.uid,
                "vm.kubevirt.io/name": name,
                "vmi.kubevirt.io/id": name,
                **labels,
            },
            "annotations": {
                DOMAIN_ANNOTATION: name,
                OVERHEAD_ANNOTATION: str(overhead_bytes),
                "descheduler.alpha.kubernetes.io/request-evict-only": "",
                "kubectl.kubernetes.io/default-container": COMPUTE_CONTAINER,
                "kubevirt.io/migrationTransportUnix": "true",
            },
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def _resource_list(amounts: Amounts) -> dict[str, str]:
    given = {
        "cpu": None if amounts.cpu_milli is None else f"{amounts.cpu_milli}m",
        "memory": None if amounts.memory_bytes is None else str(amounts.memory_bytes),
    }
    return {name: text for name, text in given.items() if text is not None}
