"""A user's client makes one request at a time, for tests about who may do what."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError
from overbook.kube.api.find_cluster import load_config
from overbook_sandbox.cluster.control_plane import ControlPlane

JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
OPERATIONS: Final = "application/json-patch+json"


class UserClient:
    """A client with the rights of one kubeconfig's user."""

    def __init__(self, kubeconfig: str) -> None:
        self._config = load_config(kubeconfig)

    @classmethod
    def with_token(cls, cluster: ControlPlane, token: str, name: str) -> "UserClient":
        return cls(cluster.kubeconfig_for(token, name=name))

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Any] | None = None,
        content_type: str = JSON,
        **query: str,
    ) -> Any:
        """Make a request and return the answer's JSON, or raise an ApiError."""

        async def once() -> bytes:
            client = Client(self._config)
            try:
                data = None if body is None else json.dumps(body).encode()
                return await client.raw(
                    method, path, body=data, content_type=content_type if data else None, query=query
                )
            finally:
                await client.close()

        answer = asyncio.run(once())
        return json.loads(answer) if answer else None

    def refusal(self, method: str, path: str, *args: Any, **query: str) -> str:
        """Return the API server's refusal of a request; empty if the request succeeds."""
        try:
            self.ask(method, path, *args, **query)
        except ApiError as error:
            return f"{error.status} {error.message}"
        return ""

    def apply(
        self, path: str, obj: Mapping[str, Any], manager: str = "test", *, dry_run: bool = False
    ) -> Any:
        """Apply an object server-side, as agent and controller do."""
        more = {"dryRun": "All"} if dry_run else {}
        return self.ask("PATCH", path, obj, APPLY, fieldManager=manager, force="true", **more)
