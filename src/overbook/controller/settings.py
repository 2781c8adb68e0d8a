"""The controller's settings. Budgets are not among them: they are in the ``Overcommit`` object."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from overbook.core.api.group import NAMESPACE
from overbook.core.errors import InvalidInput

LEASE_NAME: Final = "overbook-controller"
NAMESPACE_VARIABLE: Final = "POD_NAMESPACE"
IDENTITY_VARIABLE: Final = "POD_NAME"


class ControllerSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The controller's settings.

    Attributes:
        mode: ``Observe`` starts no relief, also if the ``Overcommit`` has ``Enforce``.
        kubeconfig: the kubeconfig; ``None``: as kubectl finds it, or the pod's service account.
        context: the kubeconfig's context; ``None``: the current one.
        namespace: Overbook's namespace, with the lease; its pods are never evicted.
        identity: the name of this replica; empty: host name and process.
        leader_elect: whether only the holder of the lease works.
        listen: address and port of metrics, decisions and health; empty: none.
        probe_listen: a further address and port, of health alone; empty: none.
        verbosity: 0 quiet, 1 actions, 2 details.
    """

    mode: Literal["Observe", "Enforce"] = "Enforce"
    kubeconfig: str | None = None
    context: str | None = None
    namespace: str = NAMESPACE
    identity: str = ""
    leader_elect: bool = True
    listen: str = "127.0.0.1:9714"
    probe_listen: str = ""
    verbosity: int = 1


def load(environment: Mapping[str, str], flags: Mapping[str, Any]) -> ControllerSettings:
    """Settings from the environment and the command line, which wins.

    Raises:
        InvalidInput: a value is invalid.
    """
    known: dict[str, Any] = {}
    for variable, field in ((NAMESPACE_VARIABLE, "namespace"), (IDENTITY_VARIABLE, "identity")):
        if environment.get(variable):
            known[field] = environment[variable]
    settings = ControllerSettings(**{**known, **flags})
    if not settings.namespace:
        raise InvalidInput("--namespace", settings.namespace, "the namespace in which Overbook is installed")
    return settings
