"""The records of all reliefs. They are written with compare-and-swap, so that only one leader can proceed."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from overbook.controller.kinds import ASKING_NODES, AskingNode
from overbook.core.api.group import API_VERSION
from overbook.core.api.overcommit_node import CONTROLLER_MANAGER, ReliefRecord
from overbook.core.relief.case import Step, Write
from overbook.core.relief.migrating import BEFORE_SIGHT_SECONDS
from overbook.core.relief.record import counted_from
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, ApiUnavailable, is_status

log = logging.getLogger(__name__)

MOST_TRIES: Final = 5
"""The most attempts of a write. An agent writes about once a second; more conflicts mean a defect."""


class Records:
    """The records at the API server, as far as this leader knows.

    Only the leader writes records, so its last record is valid until another writer changes it. Each write
    names the last known version of the object. If the object has changed since, it is read again: with the
    same record, only the agent has written its part, and the write is repeated; with another record, another
    leader (or a person) has written it, and that record counts.

    Args:
        wall_clock: seconds since the epoch.
    """

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._sighted: dict[str, tuple[str | None, float]] = {}
        self._known: dict[str, ReliefRecord] = {}
        self._pending: dict[str, ReliefRecord] = {}
        self._versions: dict[str, str] = {}
        self.lost: set[str] = set()
        """Nodes whose object was created again during a relief: the record must be written again."""

    @property
    def nodes(self) -> Mapping[str, ReliefRecord]:
        """The records by node, including those that are being written."""
        return {**self._known, **self._pending}

    def of(self, node: str) -> ReliefRecord:
        """A node's record; one that is being written counts already."""
        return self._pending.get(node) or self._known.get(node) or ReliefRecord()

    def dated(self, node: str) -> ReliefRecord:
        """A node's record with times that this leader can count from.

        Another leader's clock may have been minutes behind: then nothing takes too long already.
        """
        record = self.of(node)
        sighted = self._sighted.get(node)
        if sighted is None or sighted[0] != record.stage_since:
            return record
        return counted_from(record, sighted[1] - BEFORE_SIGHT_SECONDS)

    def first(self, node: str, step: Step) -> Step:
        """The step that has to be taken before another one: a lost record is written again."""
        return Write(self.dated(node)) if node in self.lost and not isinstance(step, Write) else step

    def seen(self, obj: AskingNode) -> None:
        """Take over the record of a changed object, if it is newer than the last one written here."""
        node = obj.metadata.name
        if node in self._pending or not _is_newer(obj.metadata.resource_version, self._versions.get(node)):
            return
        record, known = obj.status.relief, self._known.get(node)
        if record is None and known is not None and known.stage is not None:
            self.lost.add(node)
            self._versions[node] = obj.metadata.resource_version or ""
            return
        if known is not None and record not in (None, known):
            log.warning("node %s: another writer changed the relief record: %s", node, record)
        self._take_over(node, record or ReliefRecord(), obj.metadata.resource_version)

    def gone(self, node: str) -> None:
        """Forget a deleted object, but not the record of a relief under way."""
        self._versions.pop(node, None)
        self.lost.discard(node)  # there is nothing in which it could be written
        if self.of(node).stage is None:
            self._known.pop(node, None)

    async def write(self, client: Client, obj: AskingNode | None, node: str, record: ReliefRecord) -> bool:
        """Write a record.

        Args:
            client: to the API server.
            obj: the last known object; ``None``: there is none, and nothing can be written.
            node: the node.
            record: the new record.

        Returns:
            Whether the record is written. If not, :meth:`of` returns the present one.

        Raises:
            ApiError: the API server refused.
            ApiUnavailable: it is not known whether the record is written; writing it again is harmless.
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
                if error.is_not_found:
                    return self._unwritten(node, record)
                if not is_status(error, 409):
                    raise
            else:
                self._keep(node, record, written.metadata.resource_version)
                return True
            obj = await client.get(ASKING_NODES, node)
            present = obj.status.relief
            if present == record:  # this leader's own write, whose answer was lost
                self._keep(node, record, obj.metadata.resource_version)
                return True
            if present is not None and present != self._known.get(node, ReliefRecord()):
                log.warning("node %s: the object has another relief record: %s", node, present.message)
                self._take_over(node, present, obj.metadata.resource_version)
                return False
        raise ApiUnavailable(f"the object of node {node} changes faster than it can be written")

    def _unwritten(self, node: str, record: ReliefRecord) -> bool:
        """Refuse to begin a relief without an object; but keep the record of one that is under way."""
        if record.stage == "Asking":
            return False
        self._known[node] = record
        return True

    def _take_over(self, node: str, record: ReliefRecord, version: str | None) -> None:
        """Keep a record that was not written here, or that was read again."""
        sighted = self._sighted.get(node)
        if record != self._known.get(node):
            sighted = (record.stage_since, self._wall_clock())
        self._keep(node, record, version)
        if sighted is not None:
            self._sighted[node] = sighted

    def _keep(self, node: str, record: ReliefRecord, version: str | None) -> None:
        self._known[node] = record
        self._sighted.pop(node, None)
        self._versions[node] = version or ""
        self.lost.discard(node)


def _is_newer(version: str | None, than: str | None) -> bool:
    if not than:
        return True
    if (version or "").isdigit() and than.isdigit():
        return int(version or "") > int(than)
    return version != than
