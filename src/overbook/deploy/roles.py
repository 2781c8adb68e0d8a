"""The roles of each part and of people: its rights, bound to its account."""

from collections.abc import Sequence
from typing import Final

from overbook.deploy.installation import (
    AGENT,
    CERTIFICATES,
    CONTROLLER,
    LABELS,
    STATUS,
    WEBHOOK,
    Component,
    Installation,
    Manifest,
    metadata,
)
from overbook.deploy.rights import (
    AGENT_RIGHTS,
    CERTIFICATES_RIGHTS,
    CONTROLLER_RIGHTS,
    DELETE_RIGHTS,
    OVERRIDE_EDIT_RIGHTS,
    OVERRIDE_VIEW_RIGHTS,
    STATUS_RIGHTS,
    WEBHOOK_RIGHTS,
    Right,
)

_RBAC: Final = "rbac.authorization.k8s.io"


def agent(where: Installation) -> list[Manifest]:
    """The agent's account with its roles."""
    return [_account("agent", AGENT, where), *_granted("agent", AGENT, AGENT_RIGHTS, where)]


def controller(where: Installation) -> list[Manifest]:
    """The controller's account with its roles."""
    return [
        _account("controller", CONTROLLER, where),
        *_granted("controller", CONTROLLER, CONTROLLER_RIGHTS, where),
    ]


def webhook(where: Installation) -> list[Manifest]:
    """The webhook's account with its roles."""
    return [_account("webhook", WEBHOOK, where), *_granted("webhook", WEBHOOK, WEBHOOK_RIGHTS, where)]


def certificates(where: Installation) -> list[Manifest]:
    """The account of the certificate's renewal with its roles."""
    return [
        _account("certificates", CERTIFICATES, where),
        *_granted("certificates", CERTIFICATES, CERTIFICATES_RIGHTS, where),
    ]


def last_resort(where: Installation) -> list[Manifest]:
    """The roles that the controller needs additionally to delete pods."""
    return _granted("controller", f"{CONTROLLER}-last-resort", DELETE_RIGHTS, where, account=CONTROLLER)


def status() -> list[Manifest]:
    """The role for people who run ``overbook status``; the cluster's administrator binds it."""
    role = _role("ClusterRole", metadata(STATUS), STATUS_RIGHTS)
    # OpenShift's cluster-reader includes every role with this label.
    role["metadata"]["labels"] = {**LABELS, f"{_RBAC}/aggregate-to-cluster-reader": "true"}
    return [role]


def override_roles() -> list[Manifest]:
    """The roles for owners of namespaces, included in the roles ``admin``, ``edit`` and ``view``."""
    found = []
    for name, rights, including in (
        ("overbook-resourceoverrides-edit", OVERRIDE_EDIT_RIGHTS, ("admin", "edit")),
        ("overbook-resourceoverrides-view", OVERRIDE_VIEW_RIGHTS, ("view",)),
    ):
        role = _role("ClusterRole", metadata(name), rights)
        role["metadata"]["labels"] |= {f"{_RBAC}/aggregate-to-{one}": "true" for one in including}
        found.append(role)
    return found


def _account(component: Component, name: str, where: Installation) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(name, component, where.namespace_of(component)),
        # Pods mount a token of their own, with its own lifetime.
        "automountServiceAccountToken": False,
    }


def _granted(
    component: Component, name: str, rights: Sequence[Right], where: Installation, account: str = ""
) -> list[Manifest]:
    """The roles with the rights, bound to the component's account."""
    home = where.namespace_of(component)  # of the account; what it may use can be in another one
    subject = {"kind": "ServiceAccount", "name": account or name, "namespace": home}
    found = []
    for place, kind, namespace in (
        ("Cluster", "ClusterRole", None),
        ("Installation", "Role", where.namespace),
        ("Agents", "Role", where.node_namespace),
    ):
        given = [right for right in rights if right.where == place]
        if given:
            found.append(_role(kind, metadata(name, component, namespace), given))
            found.append(
                {
                    "apiVersion": f"{_RBAC}/v1",
                    "kind": f"{kind}Binding",
                    "metadata": metadata(name, component, namespace),
                    "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
                    "subjects": [subject],
                }
            )
    return found


def _role(kind: str, about: Manifest, rights: Sequence[Right]) -> Manifest:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": about,
        "rules": [right.rule() for right in rights],
    }
