"""The policy that no ``ResourceOverride`` is created where it would never have an effect."""

from overbook.core.api.group import GROUP, VERSION
from overbook.core.override.admission import SYSTEM_NAMESPACES
from overbook.deploy.installation import Installation, Manifest, metadata
from overbook.deploy.policies import Validation, policy

NAME = "overbook-override-namespace"


def override_policy(where: Installation) -> list[Manifest]:
    """The policy with its binding. OpenShift's kind has a policy of its own, which its operator installs."""
    names = [*SYSTEM_NAMESPACES, where.namespace, where.node_namespace]
    prefixes = [f"{name}-" for name in SYSTEM_NAMESPACES]
    return policy(
        metadata(NAME),
        [(GROUP, VERSION, ["resourceoverrides"], ["CREATE"])],
        [],
        [{"name": "where", "expression": "object.metadata.namespace"}],
        [
            Validation(
                f"!(variables.where in {names!r}\n"
                f"  || {prefixes!r}.exists(prefix, variables.where.startsWith(prefix)))",
                "'a ResourceOverride has no effect in namespace ' + variables.where"
                " + ': pods of the system are never changed'",
            )
        ],
    )
