"""An API server in memory holds the Secret and the webhook's configuration, and fails when it is told to."""

import base64
from typing import Any

from overbook.certificates.objects import (
    SECRETS,
    ClientConfig,
    Secret,
    WebhookConfiguration,
    WebhookEntry,
)
from overbook.core.kubernetes.pod import ObjectMeta
from overbook.kube.api.errors import ApiError, ApiUnavailable
from overbook.kube.api.kinds import Kind


class FakeApi:
    """The part of the client that the renewal uses.

    Attributes:
        data: the Secret's data; ``None``: there is no Secret.
        bundles: the CAs of each webhook; ``None``: there is no configuration.
        failures: what happens to the next requests: they are not sent (``before``), their answers are lost
            (``after``), or a proxy answers (``404``).
        writes: what was written, in order.
    """

    def __init__(self) -> None:
        self.data: dict[str, str] | None = None
        self.bundles: list[str] | None = [""]
        self.failures: list[str] = []
        self.writes: list[str] = []
        self._secret_version = self._bundle_version = 1

    async def get(self, kind: Kind[Any], name: str, namespace: str | None = None) -> Any:
        self._fail("before")
        version = self._secret_version if kind is SECRETS else self._bundle_version
        about = ObjectMeta(name=name, namespace=namespace, resource_version=str(version))
        found: Any = None
        if kind is SECRETS and self.data is not None:
            found = Secret(about, dict(self.data))
        elif kind is not SECRETS and self.bundles is not None:
            encoded = [base64.b64encode(one.encode()).decode() for one in self.bundles]
            found = WebhookConfiguration(about, tuple(WebhookEntry(ClientConfig(one)) for one in encoded))
        if found is None:
            raise ApiError(404, "NotFound", "not found")
        self._fail("after")
        return found

    async def create(self, _kind: Kind[Any], manifest: dict[str, Any]) -> None:
        self._fail("before")
        if self.data is not None:
            raise ApiError(409, "AlreadyExists", "already exists")
        self._store(manifest["data"])
        self._fail("after")

    async def merge_patch(
        self, _kind: Kind[Any], _name: str, patch: dict[str, Any], _namespace: str | None
    ) -> None:
        self._fail("before")
        if self.data is None:
            raise ApiError(404, "NotFound", "not found")
        if patch["metadata"]["resourceVersion"] != str(self._secret_version):
            raise ApiError(409, "Conflict", "changed")
        self._store({**self.data, **patch["data"]})
        self._fail("after")

    async def json_patch(self, _kind: Kind[Any], _name: str, operations: list[dict[str, Any]]) -> None:
        self._fail("before")
        if self.bundles is None:
            raise ApiError(404, "NotFound", "not found")
        test, *adds = operations
        if test["value"] != str(self._bundle_version):
            raise ApiError(422, "Invalid", "test failed")
        for one in adds:
            number = int(one["path"].split("/")[2])
            self.bundles[number] = base64.b64decode(one["value"]).decode()
        self._bundle_version += 1
        self.writes.append("bundle")
        self._fail("after")

    def change(self, **entries: str | None) -> None:
        """Change the Secret's entries, as somebody with kubectl does."""
        assert self.data is not None
        self._store({**self.data, **{name.replace("_", "."): text for name, text in entries.items()}})
        self.writes.pop()

    def _store(self, data: dict[str, str | None]) -> None:
        self.data = {name: text for name, text in data.items() if text is not None}
        self._secret_version += 1
        self.writes.append("staged" if "staged-tls.crt" in self.data else "used")

    def _fail(self, when: str) -> None:
        if self.failures and self.failures[0] == "404":
            self.failures.pop(0)
            raise ApiError(404, "", "404 page not found")
        if self.failures and self.failures[0] == when:
            self.failures.pop(0)
            raise ApiUnavailable("the connection was reset")
