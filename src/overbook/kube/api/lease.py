"""Leader election on a Lease: at most one of several processes leads, and the leader knows for how long.

Clocks of different machines are never compared. A follower measures on its own monotonic clock how long a
lease has been unchanged. The leader counts from before its last renewal was *sent*, and stops leading
``renew_deadline_seconds`` after that, which is earlier than another process may start. Source: client-go's
``leaderelection``.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from overbook.core.kubernetes.pod import ObjectMeta
from overbook.core.timestamp import to_timestamp
from overbook.kube.api.backoff import SPREAD
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError, is_status
from overbook.kube.api.kinds import LEASES
from overbook.kube.api.objects import Lease, LeaseSpec

log = logging.getLogger(__name__)


class LeaderElection:
    """One process's part in an election.

    Args:
        client: to the API server.
        name: the Lease's name.
        namespace: the Lease's namespace.
        identity: this process's name, unique among all candidates.
        lease_seconds: after this time without a renewal the others count a leader as gone.
        renew_deadline_seconds: after this time without a renewal a leader stops leading.
        retry_seconds: the time between two reads of the lease, and between two renewals.
        clock: seconds that only grow.
        wall_clock: seconds since 1970, for the times that are shown in the lease.
    """

    def __init__(
        self,
        client: Client,
        *,
        name: str,
        namespace: str,
        identity: str,
        lease_seconds: int = 15,
        renew_deadline_seconds: float = 10.0,
        retry_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < retry_seconds < renew_deadline_seconds < lease_seconds:
            raise ValueError("expected retry_seconds < renew_deadline_seconds < lease_seconds")
        self._client = client
        self._name = name
        self._namespace = namespace
        self.identity = identity
        self._lease_seconds = lease_seconds
        self._renew_deadline_seconds = renew_deadline_seconds
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._valid_until: float | None = None
        self._seen: Lease | None = None
        self._exists = False
        self._seen_at = 0.0

    @property
    def leads(self) -> bool:
        """Whether this process leads now. Check it before every action that only a leader may do."""
        return self._valid_until is not None and self._clock() < self._valid_until

    @property
    def leader(self) -> str:
        """The identity of the leader when the lease was read last; empty if there was none."""
        return (self._seen.spec.holder_identity if self._seen else None) or ""

    async def run(self, lead: Callable[[], Coroutine[Any, Any, None]]) -> NoReturn:
        """Take part in the election forever; while elected, run the work.

        Args:
            lead: the work. It is cancelled when the lead is lost. When it ends for any reason, the lease is
                released and the election begins again. An exception of the work is logged.
        """
        while True:
            await self.acquire()
            work = asyncio.create_task(lead())
            held = asyncio.create_task(self.hold())
            try:
                await asyncio.wait((work, held), return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _ended(held)
                await _ended(work)
                await self.release()
            await asyncio.sleep(self._jittered())

    async def acquire(self) -> None:
        """Wait until this process leads."""
        while not await self._try():  # noqa: ASYNC110 - what is waited for happens on a server
            await asyncio.sleep(self._jittered())
        log.info("%s leads (lease %s/%s)", self.identity, self._namespace, self._name)

    async def hold(self) -> None:
        """Keep the lead; returns as soon as it is lost."""
        while self.leads:
            await asyncio.sleep(min(self._retry_seconds, self._left_seconds()))
            if self.leads:
                await self._try()
        log.warning("%s no longer leads (lease %s/%s)", self.identity, self._namespace, self._name)

    async def release(self) -> None:
        """Release the lease, so that another process need not wait until it expires."""
        self._valid_until = None
        if self._seen is None or self.leader != self.identity:
            return
        try:
            async with asyncio.timeout(self._renew_deadline_seconds / 2):
                await self._write(self._seen, holder="", seconds=1)
        except (KubeError, TimeoutError) as error:
            log.info(
                "lease %s/%s is not released and will expire: %s",
                self._namespace,
                self._name,
                error or "no answer",
            )

    async def _try(self) -> bool:
        """Read the lease, take or renew it if possible, and return whether this process leads."""
        seconds = self._renew_deadline_seconds / 2
        if self.leads:
            seconds = min(seconds, self._left_seconds())
        try:
            async with asyncio.timeout(seconds):
                if not self.leads:
                    self._observe(await self._read())
                await self._take_or_renew()
        except (KubeError, TimeoutError) as error:
            log.info("lease %s/%s: %s", self._namespace, self._name, error or "no answer")
            if is_status(error, 404, 409) and self.leads:
                await self._look_again()
        return self.leads

    async def _look_again(self) -> None:
        """Read the lease after a failed renewal; if another process holds it, stop leading."""
        with contextlib.suppress(KubeError, TimeoutError):
            async with asyncio.timeout(self._left_seconds()):
                self._observe(await self._read())
                if self.leader != self.identity:
                    self._valid_until = None

    async def _take_or_renew(self) -> None:
        sent_at = self._clock()
        lease = self._seen
        if lease is not None and self.leader not in ("", self.identity):
            theirs = lease.spec.lease_duration_seconds
            if sent_at < self._seen_at + (self._lease_seconds if theirs is None else theirs):
                return
        await self._write(lease, holder=self.identity, seconds=self._lease_seconds)
        self._valid_until = sent_at + self._renew_deadline_seconds

    async def _read(self) -> Lease | None:
        try:
            return await self._client.get(LEASES, self._name, self._namespace)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def _observe(self, lease: Lease | None) -> None:
        """Remember the lease; a new version shows that its holder is alive now.

        Deleting a lease does not end its holder's term: its last known state still counts.
        """
        self._exists = lease is not None
        if lease is not None:
            if self._seen is None or _version(lease) != _version(self._seen):
                self._seen_at = self._clock()
            self._seen = lease

    async def _write(self, lease: Lease | None, *, holder: str, seconds: int) -> None:
        now = to_timestamp(self._wall_clock())
        before = LeaseSpec() if lease is None else lease.spec
        again = before.holder_identity == holder
        spec = LeaseSpec(
            holder_identity=holder,
            lease_duration_seconds=seconds,
            acquire_time=before.acquire_time if again else now,
            renew_time=now,
            lease_transitions=(before.lease_transitions or 0) + (0 if again or not holder else 1),
        )
        metadata = ObjectMeta(
            name=self._name,
            namespace=self._namespace,
            resource_version=_version(lease) if lease is not None and self._exists else None,
        )
        wanted = Lease(metadata=metadata, spec=spec)
        write = self._client.replace if self._exists else self._client.create
        self._observe(await write(LEASES, wanted))

    def _left_seconds(self) -> float:
        return max(0.0, (self._valid_until or 0.0) - self._clock())

    def _jittered(self) -> float:
        return self._retry_seconds * SPREAD.uniform(1, 1.2)


def _version(lease: Lease) -> str | None:
    return lease.metadata.resource_version


async def _ended(task: "asyncio.Task[None]") -> None:
    """Cancel a task and wait until it has ended; log a failure, but not the cancellation."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the leader's work failed: %s", error, exc_info=error)
