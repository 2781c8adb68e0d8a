"""Overbook's taint on the agent's Node, set while the node is relieved. Other taints are never lost."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn

from overbook.agent.api.followed import TAINTED_NODES, TaintedNode, is_overbooks
from overbook.agent.bridge import Bridge
from overbook.core.api.overcommit_node import TAINT_EFFECT, TAINT_KEY
from overbook.core.say_once import SayOnce
from overbook.kube.api.backoff import Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError

log = logging.getLogger(__name__)

MOST_CONFLICTS: Final = 10
"""The conflicts in a row, each with another program that writes the Node, after which there is a pause."""
REMOVED_SECONDS: Final = (1.0, 300.0)
"""The first and the longest pause before a taint is set again that another program has removed."""


class Tainter:
    """Sets or removes the taint, as the last report says.

    A node's taints are one list, which can only be written as a whole. So the list is read, changed and
    written with the version that was read. If the Node was changed meanwhile, nothing is overwritten and
    the tainter tries again.

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
        """Look for changes now."""
        self._woken.set()

    async def run(self, node: Callable[[], TaintedNode | None]) -> NoReturn:
        """Keep the taint as the report says, until cancelled.

        Args:
            node: gives the Node as last seen.
        """
        backoff, removed = Backoff(0.1, 3.0), Backoff(*REMOVED_SECONDS)
        have_set = False
        while True:
            await self._woken.wait()
            self._woken.clear()
            report, seen = self._bridge.report, node()
            if report is None or report.yielding or seen is None:
                continue
            if not report.tainted:
                have_set = False
                removed.reset()
            # A taint of an agent whose reports nobody can read would be removed as a silent one's.
            if seen.is_tainted == report.tainted or (report.tainted and self._bridge.news.refused):
                continue
            if have_set:  # and it is gone: another program has removed it
                have_set = False
                await asyncio.sleep(removed.next_seconds())
                self._woken.set()
                continue
            try:
                await self._put(tainted=report.tainted)
                have_set = report.tainted
                backoff.reset()
                self._complain.over()
            except KubeError as error:
                self._complain(str(error))
                await asyncio.sleep(backoff.next_seconds(error))
                self._woken.set()

    async def write_last(self) -> None:
        """Write the taint of the last report, once."""
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
                if node.is_tainted == tainted:
                    return
                await self._client.merge_patch(TAINTED_NODES, self._name, _patch(node, tainted=tainted))
            except ApiError as error:
                if error.status == 404:
                    return  # there is no Node; when there is one again, the tainter wakes
                if error.status != 409:
                    raise
            else:
                log.info("node %s is %s", self._name, "tainted" if tainted else "no longer tainted")
                return
        raise KubeError(f"{MOST_CONFLICTS} times in a row another program changed the Node at the same time")


def _patch(node: TaintedNode, *, tainted: bool) -> dict[str, Any]:
    others = [taint for taint in node.spec.taints or () if not is_overbooks(taint)]
    own = [{"key": TAINT_KEY, "effect": TAINT_EFFECT}] if tainted else []
    return {
        "metadata": {"resourceVersion": node.metadata.resource_version},
        "spec": {"taints": others + own or None},
    }
