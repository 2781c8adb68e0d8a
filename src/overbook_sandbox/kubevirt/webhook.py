"""The stand-in's HTTPS webhook, which the API server calls."""

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
    KubeVirtDocument,
)
from overbook_sandbox.kubevirt.eviction import ALLOWED, ReviewAnswer

PATH: Final = "/launcher-eviction-validate"

_MOST_BODY_BYTES: Final = 3 << 20  # the API server's limit of an object
_MOST_HEAD_BYTES: Final = 64 << 10


class EvictionWebhook:
    """The webhook that answers evictions.

    Args:
        client: Reads pods and VMs, and marks VMs.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
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
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("\r\ncontent-length:")[2].partition("\r\n")[0])
        if length > _MOST_BODY_BYTES:
            return False
        body = await self._review(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        return True

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
            await self._mark(instance, answer.mark_node, is_dry_run=_is_dry_run(request))
        return answer

    async def _mark(self, instance: KubeVirtDocument, node: str, *, is_dry_run: bool) -> None:
        patch = [{"op": "add", "path": "/status/evacuationNodeName", "value": node}]
        await self._client.raw(
            "PATCH",
            INSTANCES.path(instance.metadata.name, instance.namespace),
            body=msgspec.json.encode(patch),
            content_type="application/json-patch+json",
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
