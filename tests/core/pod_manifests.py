"""Functions that make manifests for the tests of the rules."""

from typing import Any

from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubevirt.definitions import decode_virtual_machine
from overbook.core.kubevirt.vm import VirtualMachineInstance

MI = 1 << 20
GI = 1 << 30


def pod_of(
    *containers: dict[str, Any],
    init: list[dict[str, Any]] | None = None,
    annotations: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    owners: list[dict[str, Any]] | None = None,
    **spec: Any,
) -> Pod:
    """Return a pod of containers given as ``{"requests": …, "limits": …}``, named c0, c1 …"""
    manifest = {
        "metadata": {
            "name": "cart",
            "namespace": "shop",
            "annotations": annotations,
            "labels": labels,
            "ownerReferences": owners,
        },
        "spec": {
            "containers": [{"name": f"c{n}", "resources": written} for n, written in enumerate(containers)],
            "initContainers": [{"name": f"i{n}", **written} for n, written in enumerate(init or [])],
            **spec,
        },
    }
    return convert(manifest, Pod, "Pod")


def vm_of(guest: str | None = "4Gi", **domain: Any) -> VirtualMachineInstance:
    """Return a VM with two cores; ``domain`` is merged into ``spec.domain``, ``spec`` into ``spec``."""
    spec = domain.pop("spec", {})
    memory = {"guest": guest} if guest else {}
    return decode_virtual_machine(
        {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachineInstance",
            "metadata": {"name": "db", "namespace": "shop"},
            "spec": {
                "domain": {
                    "cpu": {"cores": 2},
                    **domain,
                    "memory": {**memory, **domain.get("memory", {})},
                },
                **spec,
            },
        }
    )
