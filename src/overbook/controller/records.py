"""The records of all reliefs, and their writing: compare and swap, so that no two leaders can both go on."""

import logging
from collections.abc import Mapping
from typing import Final

from overbook.controller.kinds import ASKING_NODES, AskingNode
from overbook.core.api.group import API_VERSION
from overbook.core.api.overcommit_node import CONTROLLER_MANAGER, ReliefRecord
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, ApiUnavailable, is_status

log = logging.getLogger(__name__)

MOST_TRIES: Final = 5
"""An agent under pressure writes its part about once a second; five such meetings in a row mean trouble."""


class Records:
    """What stands at the API server, as far as this leader knows.

    Only the leader writes records, so what it wrote last is the truth for as long as nobody else has. A
    write is made against the version of the object in which that was seen. If the object has changed since,
    it is read: the same record in it means that the agent wrote its own part, and the write is made again;
    another record means another leader (or a person), and theirs counts.
    """

    def __init__(self) -> None:
        self._known: dict[str, ReliefRecord] = {}
        self._pending: dict[str, ReliefRecord] = {}
        self._versions: dict[str, str] = {}
        self.lost: set[str] = set()
        """Nodes whose object was made anew while something was on its way: to be written there again."""

    @property
    def nodes(self) -> Mapping[str, ReliefRecord]:
        """Nodes for which something was written, with the record as it stands or is being written."""
        return {**self._known, **self._pending}

    def of(self, node: str) -> ReliefRecord:
        """A node's record, one that is just being written included: its place is taken already."""
        return self._pending.get(node) or self._known.get(node) or ReliefRecord()

    def seen(self, obj: AskingNode) -> None:
        """The object has changed. Its record counts if it is newer than what was written here."""
        node = obj.metadata.name
        if node in self._pending or not _is_newer(obj.metadata.resource_version, self._versions.get(node)):
            return
        record, known = obj.status.relief, self._known.get(node)
        if record is None and known is not None and known.stage is not None:
            self.lost.add(node)
            self._versions[node] = obj.metadata.resource_version or ""
            return
        if known is not None and record not in (None, known):
            log.warning("node %s: its relief was changed by somebody else: %s", node, record)
        self._keep(node, record or ReliefRecord(), obj.metadata.resource_version)

    def gone(self, node: str) -> None:
        """There is no object any more. What is on its way is not forgotten with it."""
        self._versions.pop(node, None)
        if self.of(node).stage is None:
            self._known.pop(node, None)

    async def write(self, client: Client, obj: AskingNode | None, node: str, record: ReliefRecord) -> bool:
        """Write a record down.

        Args:
            client: to the API server.
            obj: the object as it was seen last; ``None``: there is none, and nothing can be written.
            node: whose.
            record: what shall stand there.

        Returns:
            Whether it stands there now. If not, :meth:`of` is what does.

        Raises:
            ApiError: it was refused.
            ApiUnavailable: it is not known whether it stands there; writing it again is harmless.
        """
        if obj is None:
            return self._unwritten(node, record)
        self._pending[node] = record
        try:
            return await self._swap(client, obj, node, record)
        finally:
            del self._pending[node]

    async def _swap(self, client: Client, obj: AskingNode, node: str, record: ReliefRecord) -> bool:
        for _ in range(MOST_TRIES):
            metadata = {
                "name": node,
                "uid": obj.metadata.uid,
                "resourceVersion": obj.metadata.resource_version,
            }
            wanted = {
                "apiVersion": API_VERSION,
                "kind": ASKING_NODES.kind,
                "metadata": metadata,
                "status": {"relief": record},
            }
            try:
                written = await client.apply(
                    ASKING_NODES, wanted, manager=CONTROLLER_MANAGER, subresource="status"
                )
            except ApiError as error:
                if is_status(error, 404):
                    return self._unwritten(node, record)
                if not is_status(error, 409):
                    raise
            else:
                self._keep(node, record, written.metadata.resource_version)
                return True
            obj = await client.get(ASKING_NODES, node)
            stands = obj.status.relief
            if stands == record:  # our own write, whose answer was lost
                self._keep(node, record, obj.metadata.resource_version)
                return True
            if stands is not None and stands != self._known.get(node, ReliefRecord()):
                log.warning("node %s: another record stands there: %s", node, stands.message)
                self._keep(node, stands, obj.metadata.resource_version)
                return False
        raise ApiUnavailable(f"the object of node {node} changes faster than it can be written")

    def _unwritten(self, node: str, record: ReliefRecord) -> bool:
        """Without an object nobody is asked to go; what is on its way is followed all the same."""
        if record.stage == "Asking":
            return False
        self._known[node] = record
        return True

    def _keep(self, node: str, record: ReliefRecord, version: str | None) -> None:
        self._known[node] = record
        self._versions[node] = version or ""
        self.lost.discard(node)


def _is_newer(version: str | None, than: str | None) -> bool:
    if not than:
        return True
    if (version or "").isdigit() and than.isdigit():
        return int(version or "") > int(than)
    return version != than
