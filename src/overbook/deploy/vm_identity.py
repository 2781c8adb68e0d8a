"""The admission policy that only KubeVirt makes pods of virtual machines.

An owner reference makes a pod a VM's pod, which may swap; without the policy, anyone who may create pods may
write one. KubeVirt is recognised by what its account may do, not by its namespace, which each installation
chooses, and which a tenant could choose as well where KubeVirt is installed elsewhere.
"""

from typing import Final

from overbook.core.kubevirt.vm import INSTANCE_KIND, KUBEVIRT_GROUP
from overbook.deploy.installation import Installation, Manifest, metadata
from overbook.deploy.policies import Validation, policy

VM_IDENTITY: Final = "overbook-vm-identity"
_ACCOUNT: Final = "kubevirt-controller"
"""The name of KubeVirt's account in each installation, in whatever namespace it is."""


def vm_identity(where: Installation) -> list[Manifest]:
    """The policy with its binding.

    Existing owners may stay or be removed: a removed owner only takes rights away from the pod.
    """

    def instances(of: str) -> str:
        return (
            f"{of}.metadata.?ownerReferences.orValue([]).filter(owner,\n"
            f"  owner.kind == '{INSTANCE_KIND}' && owner.apiVersion.startsWith('{KUBEVIRT_GROUP}/'))"
        )

    new = (
        f"{instances('object')}.exists(owner,\n"
        f"  oldObject == null || !oldObject.metadata.?ownerReferences.orValue([]).exists(had, had == owner))"
    )
    return policy(
        metadata(VM_IDENTITY),
        [("", "v1", ["pods"], ["CREATE", "UPDATE"])],
        [{"name": "becomes-a-virtual-machine", "expression": new}],
        [
            {"name": "accounts", "expression": where.vm_identity_accounts},
            {
                # A namespace's owner may give an account this name, but not a right in all namespaces.
                "name": "isKubeVirt",
                "expression": "request.userInfo.username"
                f".matches('^system:serviceaccount:[^:]+:{_ACCOUNT}$')\n"
                f"&& authorizer.group('{KUBEVIRT_GROUP}').resource('virtualmachineinstances')"
                ".check('update').allowed()",
            },
        ],
        [
            Validation(
                "variables.isKubeVirt || request.userInfo.username in variables.accounts",
                f"'only KubeVirt (an account {_ACCOUNT} that may update every {INSTANCE_KIND})"
                f" may make pods of a {INSTANCE_KIND}, not ' + request.userInfo.username",
            )
        ],
    )
