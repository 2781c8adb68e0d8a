"""The parts of an installation: groups of objects, some of them optional."""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from overbook.core.api.group import API_VERSION
from overbook.core.api.overcommit import OVERCOMMIT_NAME
from overbook.deploy import roles
from overbook.deploy.agent_workload import agent_workload
from overbook.deploy.certificates_workload import cert_manager, certificates_workload
from overbook.deploy.controller_policies import controller_policies
from overbook.deploy.controller_workload import controller_workload
from overbook.deploy.custom_resources import definitions
from overbook.deploy.flow_control import flow_control
from overbook.deploy.installation import LABELS, Installation, Manifest
from overbook.deploy.monitoring import monitoring
from overbook.deploy.openshift import security_context_constraints
from overbook.deploy.override_policy import override_policy
from overbook.deploy.pod_parts import metrics_access
from overbook.deploy.policies import agent_policies
from overbook.deploy.vm_identity import vm_identity
from overbook.deploy.webhook_workload import webhook_workload

Group = Literal[
    "crds",
    "base",
    "overcommit",
    "webhook",
    "webhook-cert-manager",
    "webhook-service-ca",
    "vm-identity",
    "last-resort",
    "openshift",
    "monitoring",
]
"""``crds`` must be applied first, ``base`` is always needed. ``overcommit`` is created once and is then the
owner's, so that nothing that is applied again contains it. The other groups are optional; ``vm-identity`` is
installed unless it is left out.

The three groups of the webhook differ in who makes its certificate: one of them is chosen.
"""


class Part(NamedTuple):
    """Objects that are applied together.

    Attributes:
        name: a readable name, which is also the file's name.
        group: the directory of the file.
        objects: returns the objects for an installation.
    """

    name: str
    group: Group
    objects: Callable[[Installation], list[Manifest]]


def _namespace(
    name: str, level: Literal["privileged", "restricted"], **more: dict[str, str]
) -> list[Manifest]:
    """A namespace whose pods the API server holds to a level of the Pod Security Standards."""
    levels = {f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "warn", "audit")}
    # OpenShift would otherwise choose the levels itself, from what the namespace's accounts may use.
    own = {"security.openshift.io/scc.podSecurityLabelSync": "false"}
    about = {"name": name, "labels": {**LABELS, **levels, **own}, **more}
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": about}]


def _node_namespace(where: Installation) -> list[Manifest]:
    # The agent mounts host folders, which only `privileged` allows. Without the annotation, OpenShift's
    # default node selector of a cluster would keep the agent from nodes that have not its labels.
    everywhere = {"openshift.io/node-selector": ""}
    return _namespace(where.node_namespace, "privileged", annotations=everywhere)


def _overcommit(where: Installation) -> list[Manifest]:
    about = {"name": OVERCOMMIT_NAME, "labels": dict(LABELS)}
    return [{"apiVersion": API_VERSION, "kind": "Overcommit", "metadata": about, "spec": where.overcommit}]


def _webhook_with_cert_manager(where: Installation) -> list[Manifest]:
    return [*roles.webhook(where), *cert_manager(where), *webhook_workload(where, "cert-manager")]


def _webhook_with_service_ca(where: Installation) -> list[Manifest]:
    return [*roles.webhook(where), *webhook_workload(where, "service-ca")]


PARTS: Final = (
    Part("custom-resources", "crds", lambda _: definitions()),
    Part("namespace", "base", lambda where: _namespace(where.namespace, "restricted")),
    Part("node-namespace", "base", _node_namespace),
    Part("overcommit", "overcommit", _overcommit),
    Part("status-role", "base", lambda _: roles.status()),
    Part("agent-rights", "base", roles.agent),
    Part("agent-policies", "base", agent_policies),
    Part("flow-control", "base", flow_control),
    Part("agent", "base", agent_workload),
    Part("metrics-access", "base", metrics_access),
    Part("controller-rights", "base", roles.controller),
    Part("controller-policies", "base", controller_policies),
    Part("controller", "base", controller_workload),
    Part("override-roles", "base", lambda _: roles.override_roles()),
    Part("override-policy", "base", override_policy),
    Part("webhook-rights", "webhook", roles.webhook),
    Part("webhook", "webhook", webhook_workload),
    Part("certificates-rights", "webhook", roles.certificates),
    Part("certificates", "webhook", certificates_workload),
    Part("webhook-cert-manager", "webhook-cert-manager", _webhook_with_cert_manager),
    Part("webhook-service-ca", "webhook-service-ca", _webhook_with_service_ca),
    Part("vm-identity", "vm-identity", vm_identity),
    Part("last-resort", "last-resort", roles.last_resort),
    Part("openshift", "openshift", lambda where: [security_context_constraints(where)]),
    Part("monitoring", "monitoring", monitoring),
)
