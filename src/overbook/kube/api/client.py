"""The client: the verbs of the Kubernetes API that Overbook uses, typed by :class:`Kind`.

The client does not retry, with two exceptions: a read on a kept connection that the server had closed, and
one attempt with new credentials after 401. The caller decides whether and when to retry: see
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
from overbook.kube.api.transport import TURNS, ApiRequest, Transport
from overbook.kube.api.watching import INACTIVITY_SECONDS, WatchEvent, watch_events

_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_MERGE = "application/merge-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_OPERATIONS = "application/json-patch+json"

Obj = msgspec.Struct | Mapping[str, Any]
"""An object to be sent. Fields that are ``None``, at any level, are not sent."""


class Client:
    """A client of one API server, for one event loop.

    Every method raises :class:`ApiError` if the API server refuses, :class:`ApiUnavailable` if it does not
    answer, :class:`UnexpectedAnswer` if the answer is not of the kind's type, and :class:`InvalidInput` for
    an invalid name.

    Args:
        config: the server's address and the credentials.
        agent_name: the User-Agent, as the API server's audit log and metrics show it.
        timeout_seconds: the limit for a request with its whole answer; for a watch, only until the answer
            begins. For lists and watches it grows with failures.
        turns: the most requests at once, without watches.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        agent_name: str = "overbook",
        timeout_seconds: float = 30.0,
        turns: int = TURNS,
    ) -> None:
        self.config = config
        self._transport = Transport(config, agent_name, timeout_seconds, turns)
        self._prefix = self._transport.address.prefix

    @property
    def last_answer(self) -> float | None:
        """When the last answer came, on the monotonic clock."""
        return self._transport.last_answer

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def get(self, kind: Kind[T], name: str, namespace: str | None = None) -> T:
        """Read one object."""
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
        """All objects of a kind (``namespace`` ``None``: in all namespaces), each once, page by page.

        If the list expires in the middle (410), the rest is read from a later version.

        Args:
            kind: the kind of the objects.
            namespace: the namespace.
            label_selector: such as ``app=web,tier!=cache``.
            field_selector: such as ``spec.nodeName=node-1``.
            limit: the number of objects per page.
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
        """The pages of a list, all from one moment; a list that expires (410) is an error.

        The arguments are those of :meth:`list`. The page lists objects that cannot be decoded.
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
        """The events of one watch request, which the API server ends after 5 to 10 minutes.

        Args:
            kind: the kind of the objects.
            namespace: the namespace; ``None``: all namespaces.
            label_selector: limits the objects.
            field_selector: limits the objects.
            resource_version: the last version that was seen; empty: the API server sends everything.
            send_initial_events: send the present objects, then a bookmark that marks their end (WatchList).
            inactivity_seconds: after a longer silence the connection counts as dead.
            on_contact: called whenever data arrives.
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
        """Create an object, in the namespace of its metadata if none is given."""
        plain, _, own = _identified(kind, obj)
        target = self._prefix + kind.path(None, namespace or own)
        if kind.namespaced and not (namespace or own):
            raise InvalidInput(f"{kind.kind}: namespace", "", "the namespace to create it in")
        return await self._object(kind, ApiRequest("POST", target, as_json(plain), _JSON))

    async def apply(
        self, kind: Kind[T], obj: Obj, *, manager: str, subresource: str = "", force: bool = True
    ) -> T:
        """Server-side apply: the manager takes over the fields of ``obj`` with their values; others stay.

        Args:
            kind: the object's kind.
            obj: the wanted fields; fields that this manager applied before and that are missing now are
                removed.
            manager: the field manager.
            subresource: such as ``status``.
            force: take fields over from other managers; without it a conflict is a 409.
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
        """Replace a whole object. Fields that the struct does not have are removed.

        With a ``resourceVersion``, a change by another client since then is a 409.
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
            kind: the object's kind.
            name: the object's name.
            namespace: the object's namespace.
            uid: the expected UID; another object of that name is not deleted (409).
            grace_seconds: replaces the object's own grace period.
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
        """Evict a pod through the Eviction API (policy/v1).

        Args:
            namespace: the pod's namespace.
            name: the pod's name.
            uid: the expected UID; another pod of that name is not evicted (409).
            annotations: annotations of the Eviction, for admission webhooks and the audit log.
            dry_run: only check whether the eviction would be allowed.
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
        """Send any request: ``path`` is percent-encoded already, ``query`` is not."""
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
            one = kind.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UnexpectedAnswer(f"{request}: no {kind.kind}: {str(error)[:200]}") from error
        if not one.metadata.name:  # somebody else's answer, of which no field was missed
            raise UnexpectedAnswer(f"{request}: no {kind.kind}: it has no name")
        return one


def _identified(kind: Kind[Any], obj: Obj) -> tuple[dict[str, Any], str, str | None]:
    """An object as plain values with ``apiVersion`` and ``kind``, its name and its namespace."""
    plain = as_object(obj)
    plain["apiVersion"], plain["kind"] = kind.api_version, kind.kind
    metadata = plain.get("metadata") or {}
    return plain, metadata.get("name") or "", metadata.get("namespace")


_ENCODER = msgspec.json.Encoder()


def as_json(value: Any) -> bytes:
    """A value as JSON that keeps every ``None``, which means "remove" in a merge patch."""
    return _ENCODER.encode(value)


def as_object(value: msgspec.Struct | Mapping[str, Any]) -> dict[str, Any]:
    """An object as plain values, without the fields that are ``None`` at any level."""
    plain: dict[str, Any] = _without_none(msgspec.to_builtins(value))
    return plain


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_none(inner) for inner in value]
    return value
