"""The parts of an installation: groups of objects, some of them optional."""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from overbook.core.api.group import API_VERSION
from overbook.core.api.overcommit import OVERCOMMIT_NAME
from overbook.deploy import rights
from overbook.deploy.agent_workload import agent_workload
from overbook.deploy.controller_workload import controller_workload
from overbook.deploy.custom_resources import definitions
from overbook.deploy.flow_control import flow_control
from overbook.deploy.installation import LABELS, Installation, Manifest
from overbook.deploy.monitoring import monitoring
from overbook.deploy.openshift import security_context_constraints
from overbook.deploy.policies import agent_policies, vm_identity
from overbook.deploy.webhook_workload import webhook_workload

Group = Literal["crds", "base", "webhook", "vm-identity", "last-resort", "openshift", "monitoring"]
"""``crds`` must be applied first, ``base`` is always needed, the other groups are optional."""


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


def _namespace(where: Installation) -> list[Manifest]:
    # The agent mounts host folders, which only `privileged` allows. The others comply with `restricted`.
    levels = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "warn", "audit")}
    about = {"name": where.namespace, "labels": {**LABELS, **levels}}
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": about}]


def _overcommit(where: Installation) -> list[Manifest]:
    about = {"name": OVERCOMMIT_NAME, "labels": dict(LABELS)}
    return [{"apiVersion": API_VERSION, "kind": "Overcommit", "metadata": about, "spec": where.overcommit}]


PARTS: Final = (
    Part("custom-resources", "crds", lambda _: definitions()),
    Part("namespace", "base", _namespace),
    Part("overcommit", "base", _overcommit),
    Part("status-role", "base", lambda _: rights.status()),
    Part("agent-rights", "base", rights.agent),
    Part("agent-policies", "base", agent_policies),
    Part("flow-control", "base", flow_control),
    Part("agent", "base", agent_workload),
    Part("controller-rights", "base", rights.controller),
    Part("controller", "base", controller_workload),
    Part("webhook-rights", "webhook", rights.webhook),
    Part("webhook", "webhook", webhook_workload),
    Part("vm-identity", "vm-identity", lambda _: vm_identity()),
    Part("last-resort", "last-resort", rights.last_resort),
    Part("openshift", "openshift", lambda where: [security_context_constraints(where)]),
    Part("monitoring", "monitoring", monitoring),
)
