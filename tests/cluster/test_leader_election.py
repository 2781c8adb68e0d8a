import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.kube.api.client import Client
from overbook.kube.api.kinds import LEASES
from overbook.kube.api.lease import LeaderElection
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.configmaps import client_of
from tests.cluster.faulty_proxy import EVER, FaultyProxy
from tests.running import running, until


@pytest.fixture
def proxy(cluster: ControlPlane) -> Iterator[FaultyProxy]:
    with FaultyProxy(cluster) as one:
        yield one


def election(client: Client, namespace: str, identity: str, **how: Any) -> LeaderElection:
    quick: dict[str, Any] = {"lease_seconds": 3, "renew_deadline_seconds": 2.0, "retry_seconds": 0.2}
    return LeaderElection(client, name="l", namespace=namespace, identity=identity, **{**quick, **how})


class Work:
    """A leader's work records who leads, and fails if two replicas do."""

    def __init__(self) -> None:
        self.at_once: list[LeaderElection] = []
        self.turns: list[str] = []

    async def of(self, one: LeaderElection) -> None:
        self.turns.append(one.identity)
        self.at_once.append(one)
        try:
            while True:
                assert sum(each.leads for each in self.at_once) <= 1
                await asyncio.sleep(0.01)
        finally:
            self.at_once.remove(one)


def test_a_replica_leads_as_soon_as_the_leader_gives_up(cluster: ControlPlane, namespace: str) -> None:
    async def story() -> None:
        async with client_of(cluster) as client:
            first, second = (election(client, namespace, name, lease_seconds=3600) for name in "ab")
            work = Work()
            async with running(second.run(lambda: work.of(second))) as tasks:
                await until(lambda: second.leads, "the first leads")
                async with running(first.run(lambda: work.of(first))):
                    await until(lambda: first.leader == "b", "the other sees who leads")
                    assert not first.leads
                    tasks[0].cancel()
                    await until(lambda: first.leads, "the other leads")
                    assert not second.leads
            lease = await client.get(LEASES, "l", namespace)
            assert (lease.spec.holder_identity, lease.spec.lease_transitions) == ("", 2)

    asyncio.run(story())


def test_a_leader_that_is_cut_off_stops_before_another_begins(
    proxy: FaultyProxy, cluster: ControlPlane, namespace: str
) -> None:
    async def story() -> None:
        async with client_of(proxy.config()) as cut_off, client_of(cluster) as other:
            first, second = election(cut_off, namespace, "a"), election(other, namespace, "b")
            work = Work()
            async with running(first.run(lambda: work.of(first))) as tasks:
                await until(lambda: first.leads, "it leads")
                async with running(second.run(lambda: work.of(second))) as others:
                    await until(lambda: second.leader == "a", "the other sees who leads")
                    proxy.stall()
                    await until(lambda: second.leads, "the other leads")
                    assert not first.leads
                    proxy.cut_all()
                    proxy.resume()
                    await until(lambda: first.leader == "b", "it sees who leads now")
                    assert not tasks[0].done()
                    assert not others[0].done()
            assert work.turns == ["a", "b"]

    asyncio.run(story())


def test_losing_an_answer_or_two_does_not_cost_the_lead(
    proxy: FaultyProxy, cluster: ControlPlane, namespace: str
) -> None:
    async def story() -> None:
        async with client_of(proxy.config()) as client, client_of(cluster) as other:
            first, second = election(client, namespace, "a"), election(other, namespace, "b")
            work = Work()
            async with running(first.run(lambda: work.of(first))):
                await until(lambda: first.leads, "it leads")
                async with running(second.run(lambda: work.of(second))):
                    proxy.lose_answer(matching="PUT .*leases", times=2)
                    proxy.answer(500, matching="PUT .*leases", times=2)
                    before = len(proxy.requests)
                    await until(lambda: len(proxy.requests) > before + 15, "some renewals")
                    assert first.leads
            assert work.turns == ["a"]

    asyncio.run(story())


def test_another_holder_of_the_lease_ends_the_lead(cluster: ControlPlane, namespace: str) -> None:
    async def story() -> None:
        async with client_of(cluster) as client:
            one = election(client, namespace, "a", lease_seconds=60, renew_deadline_seconds=50.0)
            work = Work()
            async with running(one.run(lambda: work.of(one))):
                await until(lambda: one.leads, "it leads")
                patch = {"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 1}}
                await client.merge_patch(LEASES, "l", patch, namespace)
                await until(lambda: not one.leads, "it leads no more")
                await until(lambda: len(work.turns) == 2, "it leads again when that lease has run out")

    asyncio.run(story())


def test_a_lease_that_is_deleted_does_not_make_a_second_leader(cluster: ControlPlane, namespace: str) -> None:
    async def story() -> None:
        async with client_of(cluster) as client:
            first, second = (election(client, namespace, name) for name in "ab")
            work = Work()
            async with running(first.run(lambda: work.of(first))):
                await until(lambda: first.leads, "it leads")
                async with running(second.run(lambda: work.of(second))) as tasks:
                    await until(lambda: second.leader == "a", "the other sees who leads")
                    for _ in range(5):
                        before = await client.get(LEASES, "l", namespace)
                        await client.delete(LEASES, "l", namespace)
                        await asyncio.sleep(0.5)
                        after = await client.get(LEASES, "l", namespace)
                        assert after.metadata.uid != before.metadata.uid
                    assert not tasks[0].done()
            assert work.turns == ["a"]

    asyncio.run(story())


def test_work_that_fails_gives_the_lead_up(
    cluster: ControlPlane, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails() -> None:
        raise RuntimeError("the work fails")

    async def story() -> None:
        async with client_of(cluster) as client:
            one = election(client, namespace, "a")
            async with running(one.run(fails)):
                await until(lambda: "the work fails" in caplog.text, "it is logged")
                await until(lambda: caplog.text.count("the work fails") > 2, "it stands for election again")

    asyncio.run(story())


def test_no_replica_leads_without_an_api_server(proxy: FaultyProxy, namespace: str) -> None:
    async def story() -> None:
        async with client_of(proxy.config()) as client:
            proxy.answer(500, times=EVER)
            one = election(client, namespace, "a")
            async with running(one.run(asyncio.Event().wait)):  # type: ignore[arg-type] # it never returns
                await until(lambda: len(proxy.requests) > 3, "it has asked")
                assert not one.leads

    asyncio.run(story())
