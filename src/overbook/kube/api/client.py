"""The client: the verbs of the Kubernetes API that Overbook uses, typed by :class:`Kind`.

Nothing is tried again here, but for a read on a kept connection that the server had closed, and once with new
credentials after 401. Whoever asks knows whether and when it makes sense to ask again: see
:mod:`overbook.kube.api.backoff`.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

import msgspec

from overbook.core.errors import InvalidInput
from overbook.kube.api import listing
from overbook.kube.api.backoff import SPREAD
from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.errors import UnexpectedAnswer
from overbook.kube.api.http import query_string
from overbook.kube.api.kinds import PODS, Kind, T
from overbook.kube.api.listing import Page
from overbook.kube.api.transport import ApiRequest, Transport
from overbook.kube.api.watching import INACTIVITY_SECONDS, WatchEvent, watch_events

_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_OPERATIONS = "application/json-patch+json"

Obj = msgspec.Struct | Mapping[str, Any]
"""An object to be sent. What is ``None`` in it, at any level, is not sent."""


class Client:
    """Speaks to one API server. For one event loop.

    Every method raises :class:`ApiError` where the API server says no, :class:`ApiUnavailable` where it says
    nothing, :class:`UnexpectedAnswer` where what it says is not of the kind's type, and :class:`InvalidInput`
    for a name that cannot be one.

    Args:
        config: where, and who we are.
        agent_name: what the API server is told that is asking.
        timeout_seconds: for a request with its whole answer; a watch has only its head within it.
    """

    def __init__(
        self, config: ClusterConfig, *, agent_name: str = "overbook", timeout_seconds: float = 30.0
    ) -> None:
        self.config = config
        self._transport = Transport(config, agent_name, timeout_seconds)
        self._prefix = self._transport.address.prefix

    @property
    def last_contact(self) -> float | None:
        """When any answer came last, on the monotonic clock."""
        return self._transport.last_contact

    async def close(self) -> None:
        """Drop all connections."""
        await self._transport.close()

    async def get(self, kind: Kind[T], name: str, namespace: str | None = None) -> T:
        """One object."""
        request = ApiRequest("GET", self._prefix + kind.path(name, namespace), repeatable=True)
        return await self._object(kind, request)

    def list(
        self,
        kind: Kind[T],
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> AsyncGenerator[T, None]:
        """All objects of a kind (``namespace`` ``None``: of all namespaces), each once, page by page.

        A list that the API server forgets in the middle (410) goes on as of a later moment.

        Args:
            kind: of what.
            namespace: where.
            label_selector: such as ``app=web,tier!=cache``.
            field_selector: such as ``spec.nodeName=node-1``.
            limit: objects a page.
        """
        path, query = self._collection(kind, namespace, label_selector, field_selector)
        return listing.objects(self._transport, kind, path, query, limit)

    def pages(
        self,
        kind: Kind[T],
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> AsyncGenerator[Page[T], None]:
        """A list as its pages, with its version, all as of one moment; 410 ends it.

        Args are those of :meth:`list`. Objects that cannot be decoded are named in the page.
        """
        path, query = self._collection(kind, namespace, label_selector, field_selector)
        return listing.pages(self._transport, kind, path, query, limit)

    def watch(
        self,
        kind: Kind[T],
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        send_initial_events: bool = False,
        inactivity_seconds: float = INACTIVITY_SECONDS,
        on_contact: Callable[[], None] | None = None,
    ) -> AsyncGenerator[WatchEvent[T], None]:
        """One watch request, until the API server ends it (after 5 to 10 minutes). See :class:`Reflector`.

        Args:
            kind: of what.
            namespace: where; ``None``: everywhere.
            label_selector: which objects.
            field_selector: which objects.
            resource_version: what has been seen already; empty: everything is sent.
            send_initial_events: send what there is, then a bookmark that says so (WatchList).
            inactivity_seconds: a longer silence is a dead connection.
            on_contact: called whenever anything came.
        """
        path, query = self._collection(kind, namespace, label_selector, field_selector)
        values = (
            *query,
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
            ("sendInitialEvents", "true" if send_initial_events else ""),
            ("resourceVersionMatch", "NotOlderThan" if send_initial_events else ""),
            # Not all watchers come back in the same moment.
            ("timeoutSeconds", str(SPREAD.randint(300, 600))),
        )
        return watch_events(
            self._transport,
            kind,
            path + query_string(values),
            inactivity_seconds=inactivity_seconds,
            on_contact=on_contact,
        )

    async def create(self, kind: Kind[T], obj: Obj, namespace: str | None = None) -> T:
        """Create an object, in its own namespace if none is given."""
        plain, _, own = _identified(kind, obj)
        target = self._prefix + kind.path(None, namespace or own)
        if kind.namespaced and not (namespace or own):
            raise InvalidInput(f"{kind.kind}: namespace", "", "the namespace to create it in")
        return await self._object(kind, ApiRequest("POST", target, as_json(plain), _JSON))

    async def apply(
        self, kind: Kind[T], obj: Obj, *, manager: str, subresource: str = "", force: bool = True
    ) -> T:
        """Server-side apply: the fields of ``obj`` become ours and as they are there; others are left alone.

        Args:
            kind: of what.
            obj: what is wanted of it; what this manager wanted before and does not any more is removed.
            manager: field manager.
            subresource: such as ``status``.
            force: take fields over from other managers; otherwise that is a 409.
        """
        plain, name, namespace = _identified(kind, obj)
        query = query_string((("fieldManager", manager), ("force", "true" if force else "")))
        target = self._prefix + kind.path(name, namespace, subresource) + query
        return await self._object(kind, ApiRequest("PATCH", target, as_json(plain), _APPLY, repeatable=True))

    async def merge_patch(
        self,
        kind: Kind[T],
        name: str,
        patch: Mapping[str, Any],
        namespace: str | None = None,
        subresource: str = "",
    ) -> T:
        """JSON merge patch (RFC 7386): ``None`` removes, lists are replaced."""
        return await self._patch(kind, name, patch, namespace, subresource, _MERGE)

    async def strategic_patch(
        self,
        kind: Kind[T],
        name: str,
        patch: Mapping[str, Any],
        namespace: str | None = None,
        subresource: str = "",
    ) -> T:
        """Strategic merge patch: lists are merged by their keys. Not for custom resources."""
        return await self._patch(kind, name, patch, namespace, subresource, _STRATEGIC)

    async def json_patch(
        self,
        kind: Kind[T],
        name: str,
        operations: Sequence[Mapping[str, Any]],
        namespace: str | None = None,
        subresource: str = "",
    ) -> T:
        """JSON patch (RFC 6902). A ``test`` that does not hold is a 422."""
        return await self._patch(kind, name, operations, namespace, subresource, _OPERATIONS)

    async def replace(self, kind: Kind[T], obj: Obj, subresource: str = "") -> T:
        """Replace a whole object. A narrow struct would remove what it does not know.

        With its ``resourceVersion`` it is a 409 when somebody else has changed it since.
        """
        plain, name, namespace = _identified(kind, obj)
        target = self._prefix + kind.path(name, namespace, subresource)
        return await self._object(kind, ApiRequest("PUT", target, as_json(plain), _JSON))

    async def delete(
        self,
        kind: Kind[T],
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete an object.

        Args:
            kind: of what.
            name: of the object.
            namespace: of the object.
            uid: another object of that name is left alone (409).
            grace_seconds: instead of the object's own.
        """
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        target = self._prefix + kind.path(name, namespace)
        await self._transport.call(ApiRequest("DELETE", target, as_json(options), _JSON))

    async def evict(
        self,
        namespace: str,
        name: str,
        *,
        uid: str,
        annotations: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> None:
        """Ask for a pod's eviction (policy/v1).

        Args:
            namespace: of the pod.
            name: of the pod.
            uid: another pod of that name is left alone (409).
            annotations: of the Eviction: admission webhooks see them, and the audit log.
            dry_run: only whether it would be allowed.
        """
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace, "annotations": dict(annotations or {})},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        query = query_string((("dryRun", "All" if dry_run else ""),))
        target = self._prefix + PODS.path(name, namespace, "eviction") + query
        await self._transport.call(ApiRequest("POST", target, as_json(eviction), _JSON))

    async def raw(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        """Any request: ``path`` is percent-encoded already, ``query`` is not."""
        target = self._prefix + path + query_string((query or {}).items())
        request = ApiRequest(method, target, body or b"", content_type or "", repeatable=method == "GET")
        return await self._transport.call(request)

    def _collection(
        self, kind: Kind[T], namespace: str | None, label_selector: str, field_selector: str
    ) -> tuple[str, tuple[tuple[str, str], ...]]:
        query = (("labelSelector", label_selector), ("fieldSelector", field_selector))
        return self._prefix + kind.path(None, namespace), query

    async def _patch(
        self,
        kind: Kind[T],
        name: str,
        patch: Any,
        namespace: str | None,
        subresource: str,
        content_type: str,
    ) -> T:
        target = self._prefix + kind.path(name, namespace, subresource)
        return await self._object(kind, ApiRequest("PATCH", target, as_json(patch), content_type))

    async def _object(self, kind: Kind[T], request: ApiRequest) -> T:
        data = await self._transport.call(request)
        try:
            return kind.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnexpectedAnswer(f"{request}: no {kind.kind}: {str(error)[:200]}") from error


def _identified(kind: Kind[Any], obj: Obj) -> tuple[dict[str, Any], str, str | None]:
    """The object as plain values with its type in it, its name and its namespace."""
    plain = as_object(obj)
    plain["apiVersion"], plain["kind"] = kind.api_version, kind.kind
    metadata = plain.get("metadata") or {}
    return plain, metadata.get("name") or "", metadata.get("namespace")


_ENCODER = msgspec.json.Encoder()


def as_json(value: Any) -> bytes:
    """JSON, with every ``None`` in it: in a merge patch it means "remove"."""
    return _ENCODER.encode(value)


def as_object(value: msgspec.Struct | Mapping[str, Any]) -> dict[str, Any]:
    """An object as plain values, without what is ``None`` at any level: for the API that is "not said"."""
    plain: dict[str, Any] = _without_none(msgspec.to_builtins(value))
    return plain


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_none(inner) for inner in value]
    return value
