"""The agent's heartbeat: the renewal of its node's Lease, by which the controller knows that it works.

The Lease also shows that two agents run on one node: the later one takes it over, the earlier one finds
another holder in it, yields, and says so in an annotation, which the later one reads in the answer to its
next renewal.
"""

import asyncio
import time
from typing import Any, Final, NoReturn

from overbook.agent.api.attempts import Attempts
from overbook.agent.bridge import Bridge, SeenLease
from overbook.agent.duplicate import YIELDING_ANNOTATION
from overbook.core.api.heartbeat import HEARTBEAT_LABELS
from overbook.core.timestamp import to_timestamp
from overbook.kube.api.backoff import SPREAD
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError
from overbook.kube.api.kinds import LEASES
from overbook.kube.api.objects import Lease

JITTER: Final = 0.2
_MISSED: Final = 3
"""So many renewals are missed when the Lease runs out; the controller has a setting of its own."""


class Heartbeat:
    """Renews the node's Lease while the node's status is up to date.

    Args:
        client: to the API server.
        namespace: Overbook's namespace.
        node_name: the Lease's name.
        instance: this agent's instance.
        bridge: to the tick's thread.
        seconds: the time between two renewals.
        status_attempts: the writes of the node's status. A Lease without them would say that an agent works
            whose reports nobody can read.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        node_name: str,
        instance: str,
        bridge: Bridge,
        seconds: float,
        status_attempts: Attempts,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = node_name
        self._instance = instance
        self._bridge = bridge
        self._seconds = seconds
        self._status_attempts = status_attempts
        self._held = False
        self._other = ""
        self._woken = asyncio.Event()
        self._state: tuple[object, ...] = ()
        self.attempts = Attempts(bridge, "the node's Lease")

    def wake(self) -> None:
        """Look whether the status is written for the first time or again, or whether to yield."""
        report = self._bridge.report
        state = (report and report.yielding, self._status_attempts.succeeded)
        if state != self._state:
            self._state = state
            self._woken.set()

    async def run(self) -> NoReturn:
        """Renew the Lease until cancelled."""
        while True:
            self._woken.clear()
            if await self.attempts.make(self._beat):
                pause = self._seconds * (1 + JITTER * (SPREAD.random() - 0.5))
                try:
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
                except TimeoutError:
                    pass
            else:
                await asyncio.sleep(max(0.1, self.attempts.not_before - time.monotonic()))

    async def _beat(self) -> None:
        report = self._bridge.report
        if report is not None and report.yielding:
            await self._say_yielding()
        elif report is None or not self._status_attempts.succeeded:
            await self._read()
        else:
            await self._renew()

    async def _renew(self) -> None:
        if self._held:
            renewal = [
                {"op": "test", "path": "/spec/holderIdentity", "value": self._instance},
                {"op": "replace", "path": "/spec/renewTime", "value": _now()},
            ]
            try:
                self._saw(await self._client.json_patch(LEASES, self._name, renewal, self._namespace))
            except ApiError as error:
                # Another holder, no Lease, or one that somebody has changed so that the policy refuses it.
                if error.status not in (403, 404, 422):
                    raise
            else:
                return
        lease = await self._read()
        if self._held and lease is not None and (lease.spec.holder_identity or "") > self._instance:
            other = _text_of(lease)
            if other != self._other:  # it is alive, and the tick decides that this agent yields
                self._saw(lease)
                return
        await self._take(exists=lease is not None)

    async def _take(self, *, exists: bool) -> None:
        now = _now()
        taken: dict[str, Any] = {
            "metadata": {"labels": HEARTBEAT_LABELS, "annotations": {YIELDING_ANNOTATION: None}},
            "spec": {
                "holderIdentity": self._instance,
                "leaseDurationSeconds": max(1, round(_MISSED * self._seconds)),
                "acquireTime": now,
                "renewTime": now,
            },
        }
        if exists:
            lease = await self._client.merge_patch(LEASES, self._name, taken, self._namespace)
        else:
            metadata = {"name": self._name, "labels": HEARTBEAT_LABELS}
            fresh = {"metadata": metadata, "spec": taken["spec"]}
            lease = await self._client.create(LEASES, fresh, self._namespace)
        self._held = True
        self._saw(lease)

    async def _say_yielding(self) -> None:
        """Tell the agent that works instead of this one, and see from the answer whether it still does."""
        annotations = {YIELDING_ANNOTATION: f"{self._instance} {_now()}"}
        patch = {"metadata": {"annotations": annotations}}
        try:
            self._saw(await self._client.merge_patch(LEASES, self._name, patch, self._namespace))
        except ApiError as error:
            if not error.is_not_found:
                raise

    async def _read(self) -> Lease | None:
        try:
            return await self._client.get(LEASES, self._name, self._namespace)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    def _saw(self, lease: Lease) -> None:
        self._other = _text_of(lease)
        holder = lease.spec.holder_identity or ""
        own = holder == self._instance
        self._bridge.contact.heartbeats += own
        self._bridge.update_lease(
            SeenLease(
                holder="" if own else holder,
                renewed="" if own else (lease.spec.renew_time or ""),
                second=(lease.metadata.annotations or {}).get(YIELDING_ANNOTATION, ""),
            )
        )


def _text_of(lease: Lease) -> str:
    return f"{lease.spec.holder_identity} {lease.spec.renew_time}"


def _now() -> str:
    """The time as a Lease has it: with six digits after the point."""
    return to_timestamp(time.time())
