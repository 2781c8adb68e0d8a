"""Constraints and namespaces as a fresh OpenShift has them."""

import copy
from typing import Any, Final

Manifest = dict[str, Any]
UID_RANGE: Final = "openshift.io/sa.scc.uid-range"
GROUPS: Final = "openshift.io/sa.scc.supplemental-groups"
LEVEL: Final = "openshift.io/sa.scc.mcs"
FIRST_UID: Final = 1_000_700_000
FOR_EVERYBODY: Final = ("restricted-v2",)
"""Every account may use these, by a ClusterRoleBinding to `system:authenticated`."""

SCHEMA_REQUIRES: Final = frozenset(
    {
        *("allowHostDirVolumePlugin", "allowHostIPC", "allowHostNetwork", "allowHostPID", "allowHostPorts"),
        *("allowPrivilegedContainer", "allowedCapabilities", "defaultAddCapabilities", "priority"),
        *("readOnlyRootFilesystem", "requiredDropCapabilities", "volumes"),
    }
)
"""What the custom resource's schema demands of a constraint (`openshift/api`, security/v1)."""
SCHEMA_KNOWS: Final = SCHEMA_REQUIRES | {
    *("apiVersion", "kind", "metadata", "allowPrivilegeEscalation", "defaultAllowPrivilegeEscalation"),
    *("allowedFlexVolumes", "allowedUnsafeSysctls", "forbiddenSysctls", "fsGroup", "groups", "users"),
    *("runAsUser", "seLinuxContext", "seccompProfiles", "supplementalGroups", "userNamespaceLevel"),
}

_ORDINARY: Final = (
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"),
    *("persistentVolumeClaim", "projected", "secret"),
)
_OLD_DROPS: Final = ["KILL", "MKNOD", "SETUID", "SETGID"]


def namespace(name: str) -> Manifest:
    """Return a namespace after OpenShift's controller has given it its ranges."""
    given = {UID_RANGE: f"{FIRST_UID}/10000", GROUPS: f"{FIRST_UID}/10000", LEVEL: "s0:c26,c15"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": given}}


def of_namespace(scc: Manifest, where: Manifest) -> Manifest:
    """Return a constraint with the ranges of a namespace in the place of those that it leaves open."""
    found = copy.deepcopy(scc)
    given = where["metadata"]["annotations"]
    user = found["runAsUser"]
    if user["type"] == "MustRunAsRange" and "uidRangeMin" not in user:
        user["uidRangeMin"], user["uidRangeMax"] = _block(given[UID_RANGE])
    selinux = found["seLinuxContext"]
    if selinux["type"] == "MustRunAs":
        options = selinux.setdefault("seLinuxOptions", {})
        options["level"] = options.get("level") or given[LEVEL]
    least, most = _block(given.get(GROUPS, given[UID_RANGE]))
    for field, ranges in (
        ("fsGroup", [{"min": least, "max": least}]),
        ("supplementalGroups", [{"min": least, "max": most}]),
    ):
        if found[field]["type"] == "MustRunAs":
            found[field].setdefault("ranges", ranges)
    return found


def parts(level: str) -> tuple[str, frozenset[str]]:
    """Return an SELinux level's sensitivity and categories, whose order does not matter."""
    sensitivity, _, categories = level.partition(":")
    return sensitivity, frozenset(categories.split(","))


def _block(text: str) -> tuple[int, int]:
    start, size = map(int, text.split("/"))
    return start, start + size - 1


def _scc(
    name: str, *, user: str, selinux: str = "MustRunAs", group: str = "MustRunAs", **more: Any
) -> Manifest:
    return {
        "apiVersion": "security.openshift.io/v1",
        "kind": "SecurityContextConstraints",
        "metadata": {"name": name},
        "allowPrivilegeEscalation": True,
        "fsGroup": {"type": group},
        "runAsUser": {"type": user},
        "seLinuxContext": {"type": selinux},
        "supplementalGroups": {"type": "RunAsAny"},
        "volumes": list(_ORDINARY),
        **more,
    }


_SECOND_VERSION: Final[Manifest] = {
    "allowPrivilegeEscalation": False,
    "allowedCapabilities": ["NET_BIND_SERVICE"],
    "requiredDropCapabilities": ["ALL"],
    "seccompProfiles": ["runtime/default"],
}
_HOST_SHARED: Final[Manifest] = {
    "allowHostIPC": True,
    "allowHostNetwork": True,
    "allowHostPID": True,
    "allowHostPorts": True,
}
_HOST: Final[Manifest] = {"allowHostDirVolumePlugin": True, "volumes": [*_ORDINARY, "hostPath"]}

SHIPPED: Final = (
    _scc("restricted-v2", user="MustRunAsRange", **_SECOND_VERSION),
    _scc("restricted", user="MustRunAsRange", requiredDropCapabilities=_OLD_DROPS),
    _scc("nonroot-v2", user="MustRunAsNonRoot", group="RunAsAny", **_SECOND_VERSION),
    _scc("nonroot", user="MustRunAsNonRoot", group="RunAsAny", requiredDropCapabilities=_OLD_DROPS),
    _scc("anyuid", user="RunAsAny", group="RunAsAny", priority=10, requiredDropCapabilities=["MKNOD"]),
    _scc("hostmount-anyuid", user="RunAsAny", group="RunAsAny", requiredDropCapabilities=["MKNOD"], **_HOST),
    _scc(
        "hostaccess",
        user="MustRunAsRange",
        requiredDropCapabilities=_OLD_DROPS,
        **_HOST_SHARED,
        **_HOST,
    ),
    _scc(
        "privileged",
        user="RunAsAny",
        selinux="RunAsAny",
        group="RunAsAny",
        allowPrivilegedContainer=True,
        allowedCapabilities=["*"],
        allowedUnsafeSysctls=["*"],
        seccompProfiles=["*"],
        **_HOST_SHARED,
        allowHostDirVolumePlugin=True,
        volumes=["*"],
    ),
)
