"""A component has its shipped rights but one verb of one rule."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from overbook.deploy.rights import Right
from tests.cluster.as_user import MERGE, UserClient

Needed = tuple[str, str]
"""A resource and a verb."""

_API: Final = "/apis/rbac.authorization.k8s.io/v1"


def each_verb(rights: Sequence[Right]) -> list[tuple[Right, str]]:
    """Return every rule with each of its verbs, one resource at a time."""
    return [
        (msgspec.structs.replace(right, resources=(resource,)), verb)
        for right in rights
        for resource, verb in itertools.product(right.resources, right.verbs)
    ]


@contextmanager
def with_rights_of(
    admin: UserClient, account: str, rights: Sequence[Right], less: Right, verb: str
) -> Iterator[None]:
    """Grant an account its rights but one verb on one resource, for as long as the block lasts."""
    split = [
        msgspec.structs.replace(right, resources=(resource,))
        for right in rights
        for resource in right.resources
    ]
    kept = [
        msgspec.structs.replace(right, verbs=tuple(v for v in right.verbs if right != less or v != verb))
        for right in split
    ]
    _grant(admin, account, kept)
    try:
        yield
    finally:
        _grant(admin, account, rights)


def _grant(admin: UserClient, account: str, rights: Sequence[Right]) -> None:
    for where, path in (
        ("Cluster", f"{_API}/clusterroles/{account}"),
        ("Installation", f"{_API}/namespaces/overbook/roles/{account}"),
        ("Agents", f"{_API}/namespaces/overbook-node/roles/{account}"),
    ):
        rules = [right.rule() for right in rights if right.where == where and right.verbs]
        if any(right.where == where for right in rights):
            admin.ask("PATCH", path, {"rules": rules}, MERGE)
