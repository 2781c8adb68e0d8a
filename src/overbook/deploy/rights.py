"""The RBAC rights of each part: the fewest that work, each with its reason.

Rules are data, so that a test can remove one verb and see what fails, and a document can list them.
"""

from typing import Final, Literal

import msgspec

from overbook.certificates.settings import SECRET_NAME
from overbook.core.api.group import GROUP
from overbook.core.kubevirt.vm import KUBEVIRT_GROUP
from overbook.deploy.installation import CONTROLLER, WEBHOOK, Manifest

Where = Literal["Cluster", "Installation", "Agents"]


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a role.

    Attributes:
        why: the reason, as the end of "needed to …".
        group: the API group; empty: core.
        resources: plural names, with their subresource.
        verbs: the verbs of the API.
        names: the only objects to which the rule applies; empty: all.
        where: ``Cluster``: the whole cluster; ``Installation``: the namespace of controller and webhook;
            ``Agents``: the agents' namespace.
    """

    why: str
    group: str = ""
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    where: Where = "Cluster"

    def rule(self) -> Manifest:
        """The rule as RBAC writes it."""
        rule: Manifest = {"apiGroups": [self.group], "resources": list(self.resources)}
        if self.names:
            rule["resourceNames"] = list(self.names)
        return {**rule, "verbs": list(self.verbs)}


AGENT_RIGHTS: Final = (
    Right(why="know this node's pods", resources=("pods",), verbs=("list", "watch")),
    Right(
        why="know them from the kubelet while the API server does not answer",
        resources=("nodes/pods",),
        verbs=("get",),
    ),
    Right(
        why="know from the kubelet whether it limits swap itself",
        resources=("nodes/configz",),
        verbs=("get",),
    ),
    Right(why="obey the swap label of namespaces", resources=("namespaces",), verbs=("list", "watch")),
    Right(why="taint its own node and remove the taint", resources=("nodes",), verbs=("get", "patch")),
    Right(
        why="notice that its node was created again, or that the taint was removed",
        resources=("nodes",),
        verbs=("list", "watch"),
    ),
    Right(why="obey a pause and the mode", group=GROUP, resources=("overcommits",), verbs=("list", "watch")),
    Right(
        why="publish its own OvercommitNode",
        group=GROUP,
        resources=("overcommitnodes",),
        verbs=("create", "patch"),
    ),
    Right(
        why="read the controller's answers there, and notice another agent",
        group=GROUP,
        resources=("overcommitnodes",),
        verbs=("list", "watch"),
    ),
    Right(
        why="publish that object's status",
        group=GROUP,
        resources=("overcommitnodes/status",),
        verbs=("patch",),
    ),
    Right(
        why="renew its node's Lease, by which the controller knows that it works",
        group="coordination.k8s.io",
        resources=("leases",),
        verbs=("create", "get", "patch"),
        where="Agents",
    ),
    Right(
        why="report its actions as events of node and pod", resources=("events",), verbs=("create", "patch")
    ),
)

CONTROLLER_RIGHTS: Final = (
    Right(
        why="read the agents' requests, and the present state after a conflict",
        group=GROUP,
        resources=("overcommitnodes",),
        verbs=("get", "list", "watch"),
    ),
    Right(
        why="remove the object of a node that no longer exists",
        group=GROUP,
        resources=("overcommitnodes",),
        verbs=("delete",),
    ),
    Right(
        why="record its relief of the node",
        group=GROUP,
        resources=("overcommitnodes/status",),
        verbs=("patch",),
    ),
    Right(
        why="know budgets, mode and pause", group=GROUP, resources=("overcommits",), verbs=("list", "watch")
    ),
    Right(why="know destinations", resources=("nodes",), verbs=("list", "watch")),
    Right(why="be sure that a node no longer exists", resources=("nodes",), verbs=("get",)),
    Right(why="remove taints of nodes whose agent is gone", resources=("nodes",), verbs=("patch",)),
    Right(why="set the condition OvercommitPressure", resources=("nodes/status",), verbs=("patch",)),
    Right(why="check a candidate before it is evicted", resources=("pods",), verbs=("get",)),
    Right(why="evict a pod", resources=("pods/eviction",), verbs=("create",)),
    Right(
        why="know a VM's eviction strategy and its node",
        group=KUBEVIRT_GROUP,
        resources=("virtualmachineinstances",),
        verbs=("get",),
    ),
    Right(
        why="follow its live migration, and count those of others",
        group=KUBEVIRT_GROUP,
        resources=("virtualmachineinstancemigrations",),
        verbs=("list", "watch"),
    ),
    Right(
        why="cancel the evacuation of a VM whose live migration is given up",
        group=f"subresources.{KUBEVIRT_GROUP}",
        resources=("virtualmachineinstances/evacuate", "virtualmachineinstances/evacuate/cancel"),
        verbs=("update",),
    ),
    Right(
        why="end that live migration afterwards",
        group=KUBEVIRT_GROUP,
        resources=("virtualmachineinstancemigrations",),
        verbs=("delete",),
    ),
    Right(
        why="respect KubeVirt's migration limits",
        group=KUBEVIRT_GROUP,
        resources=("kubevirts",),
        verbs=("list", "watch"),
    ),
    Right(
        why="report its actions as events of node and pod", resources=("events",), verbs=("create", "patch")
    ),
    Right(
        why="know the overrides whose status it writes",
        group=GROUP,
        resources=("resourceoverrides",),
        verbs=("list", "watch"),
    ),
    Right(
        why="say in an override's status whether it has an effect",
        group=GROUP,
        resources=("resourceoverrides/status",),
        verbs=("patch",),
    ),
    Right(
        why="know which namespaces have the override enabled",
        resources=("namespaces",),
        verbs=("list", "watch"),
    ),
    Right(
        why="notice agents that no longer renew their Lease",
        group="coordination.k8s.io",
        resources=("leases",),
        verbs=("list", "watch"),
        where="Agents",
    ),
    Right(
        why="remove the Lease of a node that no longer exists",
        group="coordination.k8s.io",
        resources=("leases",),
        verbs=("delete",),
        where="Agents",
    ),
    Right(
        why="become the leader for the first time",
        group="coordination.k8s.io",
        resources=("leases",),
        verbs=("create",),
        where="Installation",
    ),
    Right(
        why="stay the leader",
        group="coordination.k8s.io",
        resources=("leases",),
        verbs=("get", "update"),
        names=(CONTROLLER,),
        where="Installation",
    ),
)

DELETE_RIGHTS: Final = (
    Right(why="delete a pod if `lastResort` is `Delete`", resources=("pods",), verbs=("delete",)),
)
"""Rights only for clusters with this setting; see ``relief.lastResort`` of ``Overcommit``."""

WEBHOOK_RIGHTS: Final = (
    Right(
        why="know which namespaces have the override enabled",
        resources=("namespaces",),
        verbs=("list", "watch"),
    ),
    Right(why="keep within LimitRanges", resources=("limitranges",), verbs=("list", "watch")),
    Right(
        why="know the override",
        group=GROUP,
        resources=("overcommits", "resourceoverrides"),
        verbs=("list", "watch"),
    ),
    Right(
        why="know the override if OpenShift's kinds are used",
        group="operator.autoscaling.openshift.io",
        resources=("clusterresourceoverrides",),
        verbs=("list", "watch"),
    ),
    Right(
        why="know a namespace's override if OpenShift's kinds are used",
        group="autoscaling.openshift.io",
        resources=("resourceoverrides",),
        verbs=("list", "watch"),
    ),
)

CERTIFICATES_RIGHTS: Final = (
    Right(
        why="publish the CA of the webhook's certificate to the API server",
        group="admissionregistration.k8s.io",
        resources=("mutatingwebhookconfigurations",),
        verbs=("get", "patch"),
        names=(WEBHOOK,),
    ),
    Right(
        why="store the first certificate",
        resources=("secrets",),
        verbs=("create",),
        where="Installation",
    ),
    Right(
        why="read and renew that certificate",
        resources=("secrets",),
        verbs=("get", "patch"),
        names=(SECRET_NAME,),
        where="Installation",
    ),
)
"""The rights of the renewal, if Overbook itself makes the webhook's certificate."""

OVERRIDE_EDIT_RIGHTS: Final = (
    Right(
        why="let a namespace's owners set its overrides",
        group=GROUP,
        resources=("resourceoverrides",),
        verbs=("get", "list", "watch", "create", "update", "patch", "delete"),
    ),
)
OVERRIDE_VIEW_RIGHTS: Final = (
    Right(
        why="let a namespace's viewers see its overrides",
        group=GROUP,
        resources=("resourceoverrides",),
        verbs=("get", "list", "watch"),
    ),
)

STATUS_RIGHTS: Final = (
    Right(why="show nodes and pods", resources=("nodes", "pods"), verbs=("get", "list", "watch")),
    Right(why="show a namespace's switches", resources=("namespaces",), verbs=("get", "list")),
    Right(why="show what happened to a pod", resources=("events",), verbs=("list",)),
    Right(
        why="show the status that Overbook publishes",
        group=GROUP,
        resources=("overcommitnodes",),
        verbs=("list", "watch"),
    ),
    Right(why="know the cluster's percentage", group=GROUP, resources=("overcommits",), verbs=("get",)),
    Right(
        why="see whether a controller leads, and which agents work",
        group="coordination.k8s.io",
        resources=("leases",),
        verbs=("get", "list", "watch"),
    ),
    Right(
        why="compare KubeVirt's percentage", group="kubevirt.io", resources=("kubevirts",), verbs=("list",)
    ),
    Right(
        why="show guests' sizes, and VMs that would be restarted",
        group="kubevirt.io",
        resources=("virtualmachineinstances",),
        verbs=("list", "watch"),
    ),
)
