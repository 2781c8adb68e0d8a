"""A cluster of many nodes and pods in seconds: the API server stores one of each, and etcd gets copies.

A copy is as the API server would have stored it: with defaults, admitted, and with managed fields. It differs
only in names, UIDs and sizes of the same length, so it is as valid as the original. No controller may run: it
would delete the objects.
"""

import base64
import json
import os
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from itertools import islice
from typing import Any, Final

import msgspec

from overbook_sandbox.cluster.control_plane import ControlPlane

NODE: Final = "node-0000"
NAMESPACE: Final = "team-000"
NAMESPACES: Final = 200
_WEB, _BATCH, _GUEST = "web-5d8f7c9b64-00000", "batch-28193405-00000", "virt-launcher-db-00000"
_PUTS_AT_ONCE: Final = 100
_READY_SECONDS: Final = 120.0
_RESTRICTED: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}

Put = tuple[bytes, bytes]


def fill(plane: ControlPlane, *, nodes: int, pods: int) -> float:
    """Put nodes, pods and an ``OvercommitNode`` for each node into a control plane without controllers.

    Of ten pods, six belong to a Deployment, one has no request, and three are virtual machines'.

    Returns:
        The seconds until the API server served all of them.
    """
    started = time.monotonic()
    plane.kubectl("create", "namespace", NAMESPACE)
    plane.kubectl("create", "serviceaccount", "default", f"--namespace={NAMESPACE}")
    _create(plane, _node())
    _create(plane, _agent_report())
    for template in (_web(), _batch(), _guest()):
        _create(plane, template)
    with closing(_Etcd(os.path.join(plane.folder, "etcd:1"))) as etcd:
        etcd.put_all(_copies(etcd, nodes, pods))
    _wait_for(plane, "/api/v1/pods", pods + 3)
    _wait_for(plane, "/apis/overbook.dev/v1alpha1/overcommitnodes", nodes)
    return time.monotonic() - started


def copy_object(plane: ControlPlane, key: str, name: str, copies: Iterable[str]) -> None:
    """Put copies of a stored object into etcd.

    Args:
        plane: a control plane without controllers.
        key: the object's key, such as ``/registry/leases/overbook/node-0000``.
        name: the object's name.
        copies: the copies' names, each as long as the object's.
    """
    with closing(_Etcd(os.path.join(plane.folder, "etcd:1"))) as etcd:
        template = _Template(etcd, key)
        etcd.put_all(template.copy({name: copy}) for copy in copies)


def etcd_metric(plane: ControlPlane, name: str) -> float:
    """One of etcd's metrics."""
    with closing(_Etcd(os.path.join(plane.folder, "etcd:1"))) as etcd:
        text = etcd.metrics()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


class _Etcd:
    """A client of etcd's JSON gateway, over its Unix socket."""

    def __init__(self, path: str) -> None:
        self._connection = HTTPConnection("localhost")
        self._connection.sock = socket.socket(socket.AF_UNIX)
        self._connection.sock.connect(path)

    def close(self) -> None:
        self._connection.close()

    def get(self, key: bytes) -> bytes:
        answer = self._ask("/v3/kv/range", {"key": key})
        return base64.b64decode(answer["kvs"][0]["value"])

    def metrics(self) -> str:
        self._connection.request("GET", "/metrics")
        return self._connection.getresponse().read().decode()

    def put_all(self, puts: Iterable[Put]) -> None:
        left = iter(puts)
        while batch := list(islice(left, _PUTS_AT_ONCE)):
            self._ask(
                "/v3/kv/txn",
                {"success": [{"requestPut": {"key": key, "value": value}} for key, value in batch]},
            )

    def _ask(self, path: str, body: dict[str, Any]) -> Any:
        self._connection.request("POST", path, msgspec.json.encode(body))  # bytes become base64
        response = self._connection.getresponse()
        data = response.read()
        if response.status != 200:
            raise RuntimeError(f"etcd: {response.status}: {data[:200]!r}")
        return json.loads(data)


class _Template:
    """A stored object, and the places in which its copies differ."""

    def __init__(self, etcd: _Etcd, key: str) -> None:
        self._key = key.encode()
        self._value = etcd.get(self._key)

    def copy(self, names: dict[str, str]) -> Put:
        """A copy with other names, each as long as the one that it replaces."""
        key, value = self._key, self._value
        for old, new in names.items():
            assert len(old) == len(new), (old, new)
            key = key.replace(old.encode(), new.encode())
            value = value.replace(old.encode(), new.encode())
        return key, _with_own_uid(value)


def _with_own_uid(value: bytes) -> bytes:
    """Find the object's own UID: the first text in it that has the form of one."""
    marker = value.find(b"-4")
    while marker >= 0:
        start = marker - 13
        text = value[start : start + 36]
        try:
            uuid.UUID(text.decode("ascii"))
        except ValueError:
            marker = value.find(b"-4", marker + 1)
            continue
        return value.replace(text, str(uuid.uuid4()).encode())
    return value


def _copies(etcd: _Etcd, nodes: int, pods: int) -> Iterator[Put]:
    namespace = _Template(etcd, f"/registry/namespaces/{NAMESPACE}")
    for number in range(1, NAMESPACES):
        yield namespace.copy({NAMESPACE: f"team-{number:03}"})
    node = _Template(etcd, f"/registry/minions/{NODE}")
    report = _Template(etcd, f"/registry/overbook.dev/overcommitnodes/{NODE}")
    for number in range(1, nodes):
        name = {NODE: f"node-{number:04}"}
        yield node.copy(name)
        yield report.copy(name)
    web, batch, guest = (
        _Template(etcd, f"/registry/pods/{NAMESPACE}/{name}") for name in (_WEB, _BATCH, _GUEST)
    )
    for number in range(1, pods + 1):
        names = {
            NODE: f"node-{number % nodes:04}",
            NAMESPACE: f"team-{number % NAMESPACES:03}",
            "1111Mi": f"{1000 + number % 300}Mi",
        }
        if number % 10 < 6:
            yield web.copy({_WEB: f"{_WEB[:-5]}{number:05}", **names})
        elif number % 10 == 6:
            yield batch.copy({_BATCH: f"{_BATCH[:-5]}{number:05}", **names})
        else:
            yield guest.copy({"db-00000": f"db-{number:05}", **names})


def _create(plane: ControlPlane, manifest: dict[str, Any]) -> None:
    text = json.dumps(manifest)
    plane.kubectl("create", "-f", "-", stdin=text)
    if "status" in manifest:
        where = [] if "namespace" not in manifest["metadata"] else [f"--namespace={NAMESPACE}"]
        plane.kubectl(
            "patch",
            manifest["kind"].lower(),
            manifest["metadata"]["name"],
            *where,
            "--subresource=status",
            "--type=merge",
            f"--patch={json.dumps({'status': manifest['status']})}",
        )


def _wait_for(plane: ControlPlane, path: str, count: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        metadata = json.loads(plane.kubectl("get", "--raw", f"{path}?limit=1"))["metadata"]
        there = metadata.get("remainingItemCount", 0) + 1
        if there >= count:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path}: {there} of {count} after {_READY_SECONDS:.0f} s")
        time.sleep(0.2)


def _node() -> dict[str, Any]:
    size = {"cpu": "32", "memory": "65831416Ki", "pods": "250", "ephemeral-storage": "209702892Ki"}
    conditions = [
        {
            "type": kind,
            "status": "True" if kind == "Ready" else "False",
            "reason": f"Kubelet{kind}",
            "message": f"kubelet says {kind}",
            "lastHeartbeatTime": "2026-09-01T10:00:00Z",
            "lastTransitionTime": "2026-08-01T10:00:00Z",
        }
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    ]
    images = [
        {"names": [f"registry.example/team/app-{n}@sha256:{n:064x}", f"registry.example/team/app-{n}:v{n}"]}
        for n in range(50)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "pool": "virtual"}},
        "status": {
            "capacity": size,
            "allocatable": {**size, "memory": "64807416Ki", "cpu": "31500m"},
            "conditions": conditions,
            "images": [{**image, "sizeBytes": 123456789} for image in images],
        },
    }


def _agent_report() -> dict[str, Any]:
    total = 65831416 << 10
    return {
        "apiVersion": "overbook.dev/v1alpha1",
        "kind": "OvercommitNode",
        "metadata": {"name": NODE},
        "status": {
            "observedAt": "2099-09-01T10:00:00.000000Z",  # never silent
            "agentVersion": "1.0.0",
            "agentInstance": str(uuid.uuid4()),
            "mode": "Enforce",
            "memory": {"totalBytes": total, "availableBytes": total // 3},
            "swap": {"totalBytes": total // 2, "usedBytes": total // 9, "allowedBytes": total // 3},
            "pressure": {"state": "None", "stallFullPercent": 0.2},
            "decisions": [
                {"id": f"d{n}", "at": "2026-09-01T10:00:00Z", "action": "reclaim", "sentence": "x" * 200}
                for n in range(5)
            ],
        },
    }


def _web() -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d8f7c9b64"}
    labels = {"app": "web", "pod-template-hash": "5d8f7c9b64", "app.kubernetes.io/part-of": "shop"}
    variables = [{"name": f"SETTING_{n}", "value": f"value-of-setting-{n}"} for n in range(12)]
    resources = {
        "requests": {"cpu": "250m", "memory": "1111Mi"},
        "limits": {"cpu": "1", "memory": "2Gi"},
    }
    sidecar = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
    return _pod(_WEB, owner, labels, [("web", resources, variables), ("proxy", sidecar, variables[:4])])


def _batch() -> dict[str, Any]:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "batch-28193405"}
    return _pod(_BATCH, owner, {"job-name": "batch-28193405"}, [("report", {}, [])])


def _guest() -> dict[str, Any]:
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "db-00000"}
    labels = {"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": "db-00000", "kubevirt.io/nodeName": NODE}
    annotations = {"kubevirt.io/domain": "db-00000", "kubevirt.io/memory-overhead-bytes": "310378496"}
    resources = {"requests": {"cpu": "200m", "memory": "1111Mi", "ephemeral-storage": "50M"}}
    variables = [{"name": f"KUBEVIRT_{n}", "value": f"/var/run/kubevirt/{n}"} for n in range(10)]
    return _pod(_GUEST, owner, labels, [("compute", resources, variables)], annotations)


def _pod(
    name: str,
    owner: dict[str, str],
    labels: dict[str, str],
    containers: list[tuple[str, dict[str, Any], list[dict[str, str]]]],
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    own = {**owner, "uid": str(uuid.UUID(int=7)), "controller": True, "blockOwnerDeletion": True}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels, "annotations": annotations or {}}
    statuses = [
        {
            "name": each,
            "ready": True,
            "restartCount": 0,
            "image": f"registry.example/team/{each}:v12",
            "imageID": f"registry.example/team/{each}@sha256:{'ab' * 32}",
            "containerID": f"containerd://{'cd' * 32}",
            "state": {"running": {"startedAt": "2026-09-01T10:00:00Z"}},
        }
        for each, _, _ in containers
    ]
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": "2026-09-01T10:00:00Z"}
        for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "ownerReferences": [own]},
        "spec": {
            "nodeName": NODE,
            "containers": [
                {
                    "name": each,
                    "image": f"registry.example/team/{each}:v12",
                    "command": ["/bin/server", "--listen", "0.0.0.0:8080"],
                    "env": variables,
                    "resources": resources,
                    "securityContext": _RESTRICTED,
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
                for each, resources, variables in containers
            ],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.128.3.17",
            "podIPs": [{"ip": "10.128.3.17"}],
            "hostIP": "192.0.2.11",
            "startTime": "2026-09-01T10:00:00Z",
            "conditions": conditions,
            "containerStatuses": statuses,
        },
    }
