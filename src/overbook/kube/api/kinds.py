"""The kinds of objects that Overbook uses: their URLs, and the structs into which they are decoded."""

from functools import lru_cache
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from overbook.core.api.group import GROUP, VERSION
from overbook.core.api.overcommit import Overcommit, WrittenOvercommit
from overbook.core.api.overcommit_node import OvercommitNode
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.limit_range import LimitRange
from overbook.core.kubevirt.vm import KUBEVIRT_GROUP
from overbook.kube.api import objects
from overbook.kube.api.http import percent_encoded


class HasMetadata(Protocol):
    """The fields that ``metadata`` must have, as :class:`overbook.core.kubernetes.pod.ObjectMeta` does."""

    @property
    def name(self) -> str: ...  # noqa: D102 - the API's words
    @property
    def namespace(self) -> str | None: ...  # noqa: D102
    @property
    def uid(self) -> str | None: ...  # noqa: D102
    @property
    def resource_version(self) -> str | None: ...  # noqa: D102


class ApiObject(Protocol):
    """The field that a struct must have to be listed and watched."""

    @property
    def metadata(self) -> HasMetadata: ...  # noqa: D102


T = TypeVar("T", bound=ApiObject)


class Kind(msgspec.Struct, Generic[T], frozen=True):
    """A kind of object, and the struct into which it is decoded, which may have only some of the fields.

    Attributes:
        group: API group; empty: the core group.
        version: API version.
        plural: as in the URL.
        kind: as in the object.
        namespaced: whether its objects are in namespaces.
        type: a msgspec Struct with ``metadata``.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    type: type[T]

    @property
    def api_version(self) -> str:
        """The object's ``apiVersion``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, name: str | None = None, namespace: str | None = None, subresource: str = "") -> str:
        """The URL's path for an object or a collection.

        Args:
            name: the object's name; ``None``: the collection.
            namespace: the namespace of the object or of the collection (``None``: all namespaces).
            subresource: such as ``status``.

        Raises:
            InvalidInput: the name or the namespace is missing or invalid. An empty name must not become the
                collection's path: deleting that would delete all objects.
        """
        parts = ["", "apis", self.group, self.version] if self.group else ["", "api", self.version]
        if self.namespaced and (namespace is not None or name is not None):
            parts += ["namespaces", _segment(namespace or "", f"{self.kind}: namespace")]
        elif namespace:
            raise InvalidInput(f"{self.kind}: namespace", namespace, "none: it is not namespaced")
        parts.append(self.plural)
        if name is not None:
            parts.append(_segment(name, f"{self.kind}: name"))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def decode(self, data: bytes | msgspec.Raw) -> T:
        """Decode one object.

        Raises:
            msgspec.DecodeError: the data is no JSON, or not of this type.
        """
        decoded: T = decoder(self.type).decode(data)
        return decoded


def _segment(text: str, where: str) -> str:
    if not text or text in (".", "..") or "/" in text:
        raise InvalidInput(where, text, "a name")
    return percent_encoded(text)


@lru_cache(maxsize=64)
def decoder(of: Any) -> msgspec.json.Decoder[Any]:
    """The decoder for a type, made once."""
    return msgspec.json.Decoder(of)


def key_of(obj: ApiObject) -> str:
    """An object's key: ``namespace/name``, or ``name`` without a namespace."""
    metadata = obj.metadata
    return f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name


PODS: Final = Kind("", "v1", "pods", "Pod", True, objects.ApiPod)
NODES: Final = Kind("", "v1", "nodes", "Node", False, objects.Node)
NAMESPACES: Final = Kind("", "v1", "namespaces", "Namespace", False, objects.Namespace)
LIMIT_RANGES: Final = Kind("", "v1", "limitranges", "LimitRange", True, LimitRange)
EVENTS: Final = Kind("", "v1", "events", "Event", True, objects.CoreEvent)
LEASES: Final = Kind("coordination.k8s.io", "v1", "leases", "Lease", True, objects.Lease)
OVERCOMMITS: Final = Kind(GROUP, VERSION, "overcommits", "Overcommit", False, Overcommit)
WRITTEN_OVERCOMMITS: Final = Kind(GROUP, VERSION, "overcommits", "Overcommit", False, WrittenOvercommit)
"""The same objects, of which also those can be read that do not fit this version."""
OVERCOMMIT_NODES: Final = Kind(GROUP, VERSION, "overcommitnodes", "OvercommitNode", False, OvercommitNode)
KUBEVIRTS: Final = Kind(KUBEVIRT_GROUP, "v1", "kubevirts", "KubeVirt", True, objects.KubeVirtInstallation)
