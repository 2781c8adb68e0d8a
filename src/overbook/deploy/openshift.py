"""The additional object for OpenShift: a SecurityContextConstraints that admits the agent's pod."""

from typing import Final

from overbook.deploy.agent_workload import CAPABILITIES
from overbook.deploy.installation import AGENT, Installation, Manifest, metadata

API: Final = "security.openshift.io/v1"


def security_context_constraints(where: Installation) -> Manifest:
    """The constraints for the agent's account only; controller and webhook run under ``restricted-v2``."""
    return {
        "apiVersion": API,
        "kind": "SecurityContextConstraints",
        "metadata": metadata(AGENT, "agent"),
        "allowHostDirVolumePlugin": True,
        "allowHostIPC": False,
        "allowHostNetwork": False,
        "allowHostPID": True,
        "allowHostPorts": False,
        "allowPrivilegeEscalation": False,
        "allowPrivilegedContainer": False,
        "allowedCapabilities": list(CAPABILITIES),
        "defaultAddCapabilities": [],
        "requiredDropCapabilities": [],
        "fsGroup": {"type": "RunAsAny"},
        "readOnlyRootFilesystem": True,
        "runAsUser": {"type": "RunAsAny"},
        "seLinuxContext": {"type": "RunAsAny"},
        "seccompProfiles": ["runtime/default"],
        "supplementalGroups": {"type": "RunAsAny"},
        "volumes": ["configMap", "downwardAPI", "hostPath", "projected"],
        "users": [where.user_of("agent")],
        "groups": [],
    }
