"""An admission policy by which only KubeVirt makes pods of virtual machines.

Overbook takes a pod for a VM's by its owner (:func:`overbook.core.vm.owning_instance`), and a VM's pod may
swap. Without this policy, whoever may create pods may write that owner.
"""

from typing import Final

from overbook.core.vm import INSTANCE_KIND, KUBEVIRT_CONTROLLERS, KUBEVIRT_GROUP
from overbook.lifecycle.labels import Manifest, metadata
from overbook.lifecycle.policy import Validation, policy

NAME: Final = "overbook-vm-identity"


def vm_identity() -> list[Manifest]:
    """The policy with its binding.

    Owners that a pod has already may stay and may go: losing one only takes something from the pod.
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
        metadata(NAME),
        [("", "v1", ["pods"], ["CREATE", "UPDATE"])],
        [{"name": "becomes-a-virtual-machine", "expression": new}],
        [{"name": "controllers", "expression": f"{list(KUBEVIRT_CONTROLLERS)!r}"}],
        [
            Validation(
                "request.userInfo.username in variables.controllers",
                "'only KubeVirt (' + variables.controllers.join(', ')"
                f" + ') makes pods of a {INSTANCE_KIND}, not ' + request.userInfo.username",
            )
        ],
    )
