"""The controller's settings. Budgets are not here: they are the cluster's, in the ``Overcommit`` object."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from overbook.core.errors import InvalidInput

DEFAULT_NAMESPACE: Final = "overbook"
LEASE_NAME: Final = "overbook-controller"
NAMESPACE_VARIABLE: Final = "POD_NAMESPACE"
IDENTITY_VARIABLE: Final = "POD_NAME"


class ControllerSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything that can be set.

    Attributes:
        mode: ``Observe`` starts nothing, whatever the ``Overcommit`` says.
        kubeconfig: how to reach the API server; ``None``: as kubectl would, or as a pod.
        context: of the kubeconfig; ``None``: its current one.
        namespace: in which Overbook is installed: the lease is there, and pods that are never asked to go.
        identity: this process among its replicas; empty: host name and process.
        leader_elect: whether only the holder of the lease works.
        listen: address and port of metrics and health; empty: none.
        verbosity: 0 quiet, 1 what is done, 2 details.
    """

    mode: Literal["Observe", "Enforce"] = "Enforce"
    kubeconfig: str | None = None
    context: str | None = None
    namespace: str = DEFAULT_NAMESPACE
    identity: str = ""
    leader_elect: bool = True
    listen: str = "127.0.0.1:9714"
    verbosity: int = 1


def load(environment: Mapping[str, str], flags: Mapping[str, Any]) -> ControllerSettings:
    """Settings from the environment and the command line, which wins.

    Raises:
        InvalidInput: a value that cannot be.
    """
    known: dict[str, Any] = {}
    for variable, field in ((NAMESPACE_VARIABLE, "namespace"), (IDENTITY_VARIABLE, "identity")):
        if environment.get(variable):
            known[field] = environment[variable]
    settings = ControllerSettings(**{**known, **flags})
    if not settings.namespace:
        raise InvalidInput("--namespace", settings.namespace, "the namespace in which Overbook is installed")
    return settings
