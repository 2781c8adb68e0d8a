"""The stand-in of virt-api: the webhook for evictions, and the API that it serves itself."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import msgspec

from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError
from overbook.kube.api.kinds import Kind
from overbook_sandbox.kubevirt import eviction
from overbook_sandbox.kubevirt.documents import (
    APP_LABEL,
    DOMAIN_ANNOTATION,
    HOTPLUG,
    INSTANCES,
    KUBEVIRTS,
    LAUNCHER,
    NAMESPACE,
    PODS,
    SOURCE_ANNOTATION,
    SUBRESOURCES,
    KubeVirtDocument,
)
from overbook_sandbox.kubevirt.eviction import ALLOWED, ReviewAnswer
from overbook_sandbox.kubevirt.outage import Outage

PATH: Final = "/pod-eviction-validate"
CANCEL: Final = "/evacuate/cancel"

_GROUP: Final = f"/apis/{SUBRESOURCES}/v1"
_DESCHEDULER: Final = "sigs.k8s.io/descheduler"
_HANG_SECONDS: Final = 12.0
"""Longer than the API server waits for a webhook of KubeVirt's."""
_REASONS: Final = {400: "BadRequest", 404: "NotFound", 500: "InternalError"}

_MOST_BODY_BYTES: Final = 3 << 20  # the API server's limit of an object
_MOST_HEAD_BYTES: Final = 64 << 10


class VirtApi:
    """The program that answers evictions, and requests to cancel them.

    Args:
        client: Reads pods and VMs, and marks VMs.
        outage: Whether it works.
    """

    def __init__(self, client: Client, outage: Outage) -> None:
        self._client = client
        self._outage = outage
        self._connections: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    @asynccontextmanager
    async def serving(self, context: ssl.SSLContext, host: str) -> AsyncIterator[int]:
        """Listen on a free port, which is yielded; at the end of the block connections are closed.

        Args:
            context: The TLS context with the certificate.
            host: An address of this machine.
        """
        server = await asyncio.start_server(self._connection, host, 0, ssl=context, limit=_MOST_HEAD_BYTES)
        try:
            port: int = server.sockets[0].getsockname()[1]
            yield port
        finally:
            server.close()
            for writer in self._connections.values():
                writer.transport.abort()
            await asyncio.gather(*self._connections)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is None:
            return
        self._connections[task] = writer
        # The API server keeps connections, and closes them at any time.
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError):
            while await self._one_request(reader, writer):
                pass
        writer.close()
        del self._connections[task]

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = int(head.lower().partition("\r\ncontent-length:")[2].partition("\r\n")[0] or 0)
        if length > _MOST_BODY_BYTES:
            return False
        given = await reader.readexactly(length)
        if self._outage.api == "Hangs":
            await asyncio.sleep(_HANG_SECONDS)
        if self._outage.api:
            writer.transport.abort()
            return False
        method, target, _ = head.split(" ", 2)
        status, body = await self._routed(method, target.partition("?")[0], given)
        writer.write(b"HTTP/1.1 %d Answer\r\nContent-Type: application/json\r\n" % status)
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        return True

    async def _routed(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if path == PATH:
            return 200, await self._review(body)
        if method == "PUT" and path.startswith(_GROUP) and path.endswith(CANCEL):
            namespace, _, name = path.removesuffix(CANCEL).removeprefix(f"{_GROUP}/namespaces/").split("/")
            return await self._cancel(namespace, name, body)
        if path == _GROUP:
            return 200, msgspec.json.encode(_discovery())
        return _status(404, f"there is no {path}")

    async def _cancel(self, namespace: str, name: str, body: bytes) -> tuple[int, bytes]:
        """Take an evacuation back, if it is one of the node that the request names."""
        instance = await self._found(INSTANCES, name, namespace)
        if instance is None:
            return _status(404, f"virtualmachineinstance.kubevirt.io {name!r} not found")
        if not instance.status.get("evacuationNodeName"):
            return 200, b""
        try:
            node = msgspec.json.decode(body)["evacuationNodeName"]
        except (msgspec.DecodeError, KeyError, TypeError):
            return _status(400, "No body")
        place = "/status/evacuationNodeName"
        patch = [{"op": "test", "path": place, "value": node}, {"op": "remove", "path": place}]
        try:
            await self._patched(instance, patch, "application/json-patch+json")
        except ApiError as error:
            return _status(500, f"Internal error occurred: {error.message}")
        return 200, b""

    async def _review(self, body: bytes) -> bytes:
        review = msgspec.json.decode(body)
        request = review["request"]
        try:
            answer = await self._answer(request)
        except KubeError as error:
            answer = ReviewAnswer(f"kubevirt failed getting the vmi: {error}")
        response: dict[str, Any] = {"uid": request["uid"], "allowed": answer.denial is None}
        if answer.denial is not None:
            response["status"] = {"code": 429, "message": answer.denial}
        return msgspec.json.encode(
            {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
        )

    async def _answer(self, request: dict[str, Any]) -> ReviewAnswer:
        pod = await self._found(PODS, request["name"], request["namespace"])
        if pod is None:
            return ALLOWED
        app, owners = pod.labels.get(APP_LABEL), pod.metadata.owner_references or ()
        if app == HOTPLUG and len(owners) == 1:
            launcher = await self._found(PODS, owners[0].name, pod.namespace)
            if launcher is None or launcher.is_finished or launcher.labels.get(APP_LABEL) != LAUNCHER:
                return ALLOWED
            return eviction.about_hotplug(pod, await self._instance(launcher))
        if app != LAUNCHER or pod.is_finished or DOMAIN_ANNOTATION not in pod.annotations:
            return ALLOWED
        instance = await self._client.get(INSTANCES, pod.annotations[DOMAIN_ANNOTATION], pod.namespace)
        answer = eviction.about_launcher(pod, instance, await self._cluster_strategy())
        if answer.mark_node is not None:
            patch: dict[str, Any] = {"status": {"evacuationNodeName": answer.mark_node}}
            written = ((request.get("object") or {}).get("metadata") or {}).get("annotations") or {}
            if written.get("requested-by") == _DESCHEDULER:
                patch["metadata"] = {"annotations": {SOURCE_ANNOTATION: "descheduler"}}
            merge = "application/merge-patch+json"
            await self._patched(instance, patch, merge, is_dry_run=_is_dry_run(request))
        return answer

    async def _patched(
        self, instance: KubeVirtDocument, patch: object, content_type: str, *, is_dry_run: bool = False
    ) -> None:
        await self._client.raw(
            "PATCH",
            INSTANCES.path(instance.metadata.name, instance.namespace),
            body=msgspec.json.encode(patch),
            content_type=content_type,
            query={"dryRun": "All"} if is_dry_run else None,
        )

    async def _instance(self, launcher: KubeVirtDocument) -> KubeVirtDocument | None:
        name = launcher.annotations.get(DOMAIN_ANNOTATION)
        return await self._found(INSTANCES, name, launcher.namespace) if name else None

    async def _found(
        self, kind: Kind[KubeVirtDocument], name: str, namespace: str
    ) -> KubeVirtDocument | None:
        try:
            return await self._client.get(kind, name, namespace)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def _cluster_strategy(self) -> str | None:
        kubevirt = await self._found(KUBEVIRTS, "kubevirt", NAMESPACE)
        configuration = kubevirt.spec.get("configuration", {}) if kubevirt else {}
        strategy: str | None = configuration.get("evictionStrategy")
        return strategy


def _is_dry_run(request: dict[str, Any]) -> bool:
    options = (request.get("object") or {}).get("deleteOptions") or {}
    return bool(request.get("dryRun")) or options.get("dryRun") == ["All"]


def _discovery() -> dict[str, Any]:
    cancel = {"name": "virtualmachineinstances/evacuate", "singularName": "", "namespaced": True}
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{SUBRESOURCES}/v1",
        "resources": [{**cancel, "kind": "", "verbs": ["update"]}],
    }


def _status(code: int, message: str) -> tuple[int, bytes]:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return code, msgspec.json.encode({**status, "reason": _REASONS[code]})
