"""Admission reviews as the API server sends them, in the two sizes for which there are targets."""

from typing import Any

import msgspec

SMALL, LARGE = "3 kB", "14 kB"
VARIANTS = 64
"""Different pods of one size: their names, limits, labels and namespaces differ."""

_SHAPES = {SMALL: (1, 2, 3, 3_000), LARGE: (4, 24, 8, 14_000)}
"""The number of containers, the variables and mounts of each, and the size in bytes after padding."""


def bodies(size: str, variants: int = VARIANTS, namespaces: int = VARIANTS) -> list[bytes]:
    return [_review(size, number, f"shop-{number % namespaces}") for number in range(variants)]


def _review(size: str, number: int, namespace: str) -> bytes:
    containers, variables, mounts, least_bytes = _SHAPES[size]
    pod = _pod(number, namespace, containers, variables, mounts)
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    resource = {"group": "", "version": "v1", "resource": "pods"}
    review = {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": f"705ab4f5-6393-11e8-b7cc-{number:012x}",
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kube-system:replicaset-controller",
                "uid": "cf2f3f42-8f9e-4f0d-92d0-5a5d0d9a8a11",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system"],
            },
            "object": pod,
            "oldObject": None,
            "dryRun": False,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    }
    pod["metadata"]["managedFields"] = [_managed_fields(variables)] if size == LARGE else []
    missing = least_bytes - len(msgspec.json.encode(review))
    pod["metadata"]["annotations"]["example.com/notes"] = "text " * (missing // 5)
    return msgspec.json.encode(review)


def _managed_fields(variables: int) -> dict[str, Any]:
    """The managed fields of one container."""
    environment: dict[str, Any] = {
        f'k:{{"name":"VARIABLE_{name}"}}': {".": {}, "f:name": {}} for name in range(variables)
    }
    return {
        "manager": "kube-controller-manager",
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-06-01T12:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:containers": {'k:{"name":"part-0"}': {"f:env": environment}}}},
    }


def _pod(number: int, namespace: str, containers: int, variables: int, mounts: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"cart-{number:x}-",
            "namespace": namespace,
            "labels": {"app": "cart", "pod-template-hash": f"{number:x}"},
            "annotations": {"prometheus.io/scrape": "true"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": f"cart-{number:x}",
                    "uid": "cf2f3f42-8f9e-4f0d-92d0-5a5d0d9a8a11",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "volumes": [{"name": f"volume-{place}", "emptyDir": {}} for place in range(mounts)],
            "containers": [_container(number, place, variables, mounts) for place in range(containers)],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "tolerations": [
                {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute"}
                for what in ("not-ready", "unreachable")
            ],
            "priority": 0,
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
        },
        "status": {},
    }


def _container(number: int, place: int, variables: int, mounts: int) -> dict[str, Any]:
    mebibytes, milli = 256 + number, 500 + 100 * (number % 8)
    return {
        "name": f"part-{place}",
        "image": f"registry.example.com/shop/cart:{number}",
        "ports": [{"containerPort": 8080 + place, "protocol": "TCP"}],
        "env": [{"name": f"VARIABLE_{name}", "value": f"value {name}"} for name in range(variables)],
        "resources": {
            "limits": {"cpu": f"{milli}m", "memory": f"{mebibytes}Mi"},
            "requests": {"cpu": f"{milli}m", "memory": f"{mebibytes}Mi"},
        },
        "volumeMounts": [
            {"name": f"volume-{name}", "mountPath": f"/var/lib/volume-{name}"} for name in range(mounts)
        ],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }
