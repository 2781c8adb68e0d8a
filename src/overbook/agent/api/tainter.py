"""Our taint on our own Node: there while the node is being relieved, and never at the cost of another's."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn

from overbook.agent.api.followed import TAINTED_NODES, TaintedNode
from overbook.agent.bridge import Bridge
from overbook.core.api.overcommit_node import TAINT_EFFECT, TAINT_KEY
from overbook.core.say_once import SayOnce
from overbook.kube.api.backoff import Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError

log = logging.getLogger(__name__)

MOST_CONFLICTS: Final = 10
"""In a row: somebody else writes the Node in the same moment each time. Then there is a pause."""


class Tainter:
    """Has the taint be there or not, as the last report says.

    A node's taints are one list, which can only be written as a whole. So it is read, changed and written
    with the version that was read: who changed it meanwhile is not overwritten, and it is tried again.

    Args:
        client: to the API server.
        node_name: the Node's name.
        bridge: to the tick's thread.
    """

    def __init__(self, client: Client, node_name: str, bridge: Bridge) -> None:
        self._client = client
        self._name = node_name
        self._bridge = bridge
        self._woken = asyncio.Event()
        self._complain = SayOnce(partial(log.warning, "the taint of node %s stays as it is: %s", node_name))

    def wake(self) -> None:
        """Something may have changed."""
        self._woken.set()

    async def run(self, node: Callable[[], TaintedNode | None]) -> NoReturn:
        """Keep it until cancelled.

        Args:
            node: gives the Node as it was last seen.
        """
        backoff = Backoff(0.1, 3.0)
        while True:
            await self._woken.wait()
            self._woken.clear()
            report, seen = self._bridge.report, node()
            if report is None or report.yielding or seen is None or _is_tainted(seen) == report.tainted:
                continue
            try:
                await self._put(tainted=report.tainted)
                backoff.reset()
                self._complain.over()
            except KubeError as error:
                self._complain(str(error))
                await asyncio.sleep(backoff.next_seconds(error))
                self._woken.set()

    async def last_words(self) -> None:
        """Take it away, once."""
        report = self._bridge.report
        if report is not None and not report.yielding:
            try:
                await self._put(tainted=report.tainted)
            except KubeError as error:
                log.warning("the taint of node %s stays as it is: %s", self._name, error)

    async def _put(self, *, tainted: bool) -> None:
        for _ in range(MOST_CONFLICTS):
            try:
                node = await self._client.get(TAINTED_NODES, self._name)
                if _is_tainted(node) == tainted:
                    return
                await self._client.merge_patch(TAINTED_NODES, self._name, _patch(node, tainted=tainted))
            except ApiError as error:
                if error.status == 404:
                    return  # there is no Node; when there is one again it is looked at again
                if error.status != 409:
                    raise
            else:
                log.info("node %s is %s", self._name, "tainted" if tainted else "not tainted any more")
                return
        raise KubeError(f"{MOST_CONFLICTS} times in a row somebody else changed it meanwhile")


def _patch(node: TaintedNode, *, tainted: bool) -> dict[str, Any]:
    others = [taint for taint in node.spec.taints or () if not _is_ours(taint)]
    ours = [{"key": TAINT_KEY, "effect": TAINT_EFFECT}] if tainted else []
    return {
        "metadata": {"resourceVersion": node.metadata.resource_version},
        "spec": {"taints": others + ours or None},
    }


def _is_ours(taint: dict[str, Any]) -> bool:
    return taint.get("key") == TAINT_KEY and taint.get("effect") == TAINT_EFFECT


def _is_tainted(node: TaintedNode) -> bool:
    return any(map(_is_ours, node.spec.taints or ()))
