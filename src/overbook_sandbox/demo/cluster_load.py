"""The pods of the demo on a cluster: VMs of KubeVirt's stand-in, and ordinary pods."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from overbook_sandbox.demo.story import PAID_POD, WILD_POD, StoryPod
from overbook_sandbox.kubevirt.documents import INSTANCES
from overbook_sandbox.kubevirt.launcher import OVERHEAD_BYTES_ANNOTATION, POD_SPEC_ANNOTATION
from overbook_sandbox.kubevirt.migrations import SECONDS_ANNOTATION
from overbook_sandbox.machine.spec import MEBIBYTE
from overbook_sandbox.node.load_image import container

NAMESPACE: Final = "demo"
NODE_LABEL: Final = "kubernetes.io/hostname"
LATE_POD: Final = "late"
"""A pod that may run only on the node under pressure, and is created during the pressure."""

HOT_AND_COLD_MIB: Final[Mapping[str, tuple[int, int]]] = {
    PAID_POD: (50, 0),
    "vm-a": (50, 350),
    "vm-b": (50, 350),
    WILD_POD: (50, 350),
    "web": (10, 10),
    "batch": (10, 2),
}
"""The memory that each pod uses all the time, and the memory that it uses only once."""

_GUEST_MIB: Final = 420
_PAID_MIB: Final = 80
_OVERHEAD_BYTES: Final = 20 * MEBIBYTE
_COPY_SECONDS: Final = 8
"""The duration of a live migration, long enough to be seen."""
_WEB: Final = {"requests": {"cpu": "50m", "memory": "40Mi"}, "limits": {"memory": "80Mi"}}


def announced(percent: int) -> tuple[StoryPod, ...]:
    """The pods' descriptions for the story.

    Args:
        percent: The cluster's memory overcommit percentage.
    """
    guest = _GUEST_MIB * 100 // percent * MEBIBYTE + _OVERHEAD_BYTES
    kinds = {PAID_POD: ("Guaranteed", _PAID_MIB * MEBIBYTE), "web": ("Burstable", 40 * MEBIBYTE)}
    kinds["batch"] = ("BestEffort", 0)
    return tuple(
        StoryPod(
            name=name,
            qos_class=kinds.get(name, ("Burstable", guest))[0],
            virtual_machine=name.startswith("vm-"),
            request_bytes=kinds.get(name, ("", guest))[1],
            guest_bytes=sum(sizes) * MEBIBYTE,
        )
        for name, sizes in HOT_AND_COLD_MIB.items()
    )


def manifest(name: str) -> dict[str, Any]:
    """The manifest of a pod or VM."""
    if name == PAID_POD:
        resources = {"cpu": "300m", "memory": f"{_PAID_MIB - _OVERHEAD_BYTES // MEBIBYTE}Mi"}
        return _machine(name, {"resources": {"requests": resources, "limits": resources}})
    if name.startswith("vm-"):
        return _machine(name, {"memory": {"guest": f"{_GUEST_MIB}Mi"}})
    return _pod(name, {**_container(name), "resources": _WEB if name == "web" else {}})


def late_pod(node: str) -> dict[str, Any]:
    """A small pod for one node only, which the scheduler cannot place while that node is tainted."""
    resources = {"requests": {"cpu": "10m", "memory": "16Mi"}}
    pod = _pod(LATE_POD, container(LATE_POD, hot_mib=1, resources=resources))
    pod["spec"]["nodeSelector"] = {NODE_LABEL: node}
    return pod


def _machine(name: str, domain: dict[str, Any]) -> dict[str, Any]:
    pod_spec = {**_plain(), "terminationGracePeriodSeconds": 1, "containers": [_container(name)]}
    return {
        "apiVersion": INSTANCES.api_version,
        "kind": INSTANCES.kind,
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "annotations": {
                OVERHEAD_BYTES_ANNOTATION: str(_OVERHEAD_BYTES),
                POD_SPEC_ANNOTATION: msgspec.json.encode(pod_spec).decode(),
                SECONDS_ANNOTATION: str(_COPY_SECONDS),
            },
        },
        "spec": {"domain": domain},
    }


def _pod(name: str, container: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**_plain(), "terminationGracePeriodSeconds": 1, "containers": [container]},
    }


def _plain() -> dict[str, Any]:
    """The common fields of the pods; the host's network makes their start faster."""
    return {"automountServiceAccountToken": False, "enableServiceLinks": False, "hostNetwork": True}


def _container(name: str) -> dict[str, Any]:
    hot, cold = HOT_AND_COLD_MIB[name]
    return container(name, hot_mib=hot, cold_mib=cold)
