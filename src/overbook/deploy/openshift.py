"""The additional object for OpenShift: a SecurityContextConstraints that admits the agent's pod."""

from typing import Final

from overbook.deploy.agent_workload import CAPABILITIES, SELINUX
from overbook.deploy.installation import AGENT, Installation, Manifest, metadata

API: Final = "security.openshift.io/v1"


def security_context_constraints(where: Installation) -> Manifest:
    """The constraints for the agent's account only: what its pod has, and nothing more.

    Controller and webhook run under ``restricted-v2``, which every account may use.
    """
    return {
        "apiVersion": API,
        "kind": "SecurityContextConstraints",
        "metadata": metadata(AGENT, "agent"),
        "priority": 0,  # the schema requires it; no other constraint is tried for this pod in any case
        "allowHostDirVolumePlugin": True,
        "allowHostIPC": False,
        "allowHostNetwork": False,
        "allowHostPID": True,
        "allowHostPorts": False,
        "allowPrivilegeEscalation": False,
        "allowPrivilegedContainer": False,
        "allowedCapabilities": list(CAPABILITIES),
        "defaultAddCapabilities": [],
        "requiredDropCapabilities": ["ALL"],
        "allowedUnsafeSysctls": [],
        "forbiddenSysctls": ["*"],
        "fsGroup": {"type": "MustRunAs"},
        "readOnlyRootFilesystem": True,
        "runAsUser": {"type": "MustRunAs", "uid": 0},
        "seLinuxContext": {"type": "MustRunAs", "seLinuxOptions": SELINUX},
        "seccompProfiles": ["runtime/default"],
        "supplementalGroups": {"type": "MustRunAs"},
        "volumes": ["configMap", "hostPath", "projected"],
        "users": [where.user_of("agent")],
        "groups": [],
    }
