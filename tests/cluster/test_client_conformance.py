import asyncio
import json
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, UnexpectedAnswer
from overbook.kube.api.kinds import NAMESPACES, NODES, PODS, Kind
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.configmaps import MINE, NOTES, Note, client_of, note
from tests.cluster.faulty_proxy import EVER, FaultyProxy
from tests.waiting import DEADLINE_SECONDS

POD: dict[str, Any] = {
    "metadata": {"name": "guest"},
    "spec": {"containers": [{"name": "c", "image": "none"}]},
}
BUDGETS: Kind[Any] = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, Note)


async def refused(asked: Coroutine[Any, Any, Any]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await asked
    return caught.value


async def make(client: Client, namespace: str, names: str) -> None:
    for name in names:
        await client.create(NOTES, note(name), namespace)


def test_an_object_is_created_read_changed_and_deleted(cluster: ControlPlane, namespace: str) -> None:
    async def story() -> None:
        async with client_of(cluster) as client:
            made = await client.create(NOTES, note("a", "one"), namespace)
            assert made.metadata.uid
            assert (await client.get(NOTES, "a", namespace)) == made
            patched = await client.merge_patch(NOTES, "a", {"data": {"text": None, "b": "2"}}, namespace)
            assert patched.data == {"b": "2"}
            again = await client.strategic_patch(NOTES, "a", {"data": {"c": "3"}}, namespace)
            assert again.data == {"b": "2", "c": "3"}
            operations = [
                {"op": "test", "path": "/data/c", "value": "3"},
                {"op": "remove", "path": "/data/b"},
            ]
            assert (await client.json_patch(NOTES, "a", operations, namespace)).data == {"c": "3"}
            assert (await refused(client.json_patch(NOTES, "a", operations, namespace))).status == 422
            conflict = await refused(client.replace(NOTES, made))
            assert (conflict.status, conflict.reason) == (409, "Conflict")
            newest = await client.get(NOTES, "a", namespace)
            replaced = await client.replace(NOTES, Note(metadata=newest.metadata, data={"d": "4"}))
            assert replaced.data == {"d": "4"}
            await client.delete(NOTES, "a", namespace)
            gone = await refused(client.get(NOTES, "a", namespace))
            assert (gone.status, gone.reason) == (404, "NotFound")
            assert str(gone) == (
                f'GET /api/v1/namespaces/{namespace}/configmaps/a: 404 NotFound: configmaps "a" not found'
            )

    asyncio.run(story())


def test_applying_leaves_alone_what_another_manager_wants(cluster: ControlPlane, namespace: str) -> None:
    async def story() -> None:
        async with client_of(cluster) as client:
            mine = Note(metadata=ObjectMeta(name="shared", namespace=namespace), data={"mine": "1"})
            await client.apply(NOTES, mine, manager="me")
            theirs = {"metadata": {"name": "shared", "namespace": namespace}, "data": {"theirs": "2"}}
            both = await client.apply(NOTES, theirs, manager="them")
            assert both.data == {"mine": "1", "theirs": "2"}
            clash = {**theirs, "data": {"mine": "3"}}
            error = await refused(client.apply(NOTES, clash, manager="them", force=False))
            assert error.status == 409
            assert error.causes[0].reason == "FieldManagerConflict"
            assert error.causes[0].field == ".data.mine"
            assert (await client.apply(NOTES, clash, manager="them")).data == {"mine": "3"}

    asyncio.run(story())


def test_a_status_is_applied_beside_its_object(cluster: ControlPlane) -> None:
    async def story() -> None:
        async with client_of(cluster) as client:
            name = "node-with-status"
            await client.create(NODES, {"metadata": {"name": name}})
            ready = {"type": "OvercommitPressure", "status": "False", "reason": "Calm", "message": ""}
            wanted = {"metadata": {"name": name}, "status": {"conditions": [ready]}}
            node = await client.apply(NODES, wanted, manager="me", subresource="status")
            assert node.status.conditions is not None
            assert [each.type for each in node.status.conditions] == ["OvercommitPressure"]
            await client.delete(NODES, name)

    asyncio.run(story())


def test_a_list_is_read_in_pages_and_selected(cluster: ControlPlane, namespace: str) -> None:
    async def story() -> None:
        async with client_of(cluster) as client:
            await make(client, namespace, "abcdefg")
            await client.create(NOTES, note("h", kind="other"), namespace)
            listed = client.list(NOTES, namespace, label_selector=MINE, limit=3)
            assert [each.metadata.name async for each in listed] == list("abcdefgh")
            other = client.list(NOTES, namespace, label_selector="kind in (other, none),test=notes")
            assert [each.metadata.name async for each in other] == ["h"]
            one = client.list(NOTES, namespace, field_selector="metadata.name=b")
            assert [each.metadata.name async for each in one] == ["b"]
            pages = [page async for page in client.pages(NOTES, namespace, label_selector=MINE, limit=5)]
            assert [len(page.items) for page in pages] == [5, 3]
            assert len({page.resource_version for page in pages}) == 1

    asyncio.run(story())


def test_a_list_that_expires_in_the_middle_is_continued(cluster: ControlPlane, namespace: str) -> None:
    async def story(proxy: FaultyProxy) -> None:
        async with client_of(proxy.config()) as client:
            await make(client, namespace, "abcdef")
            proxy.answer(410, matching="continue=", reason="Expired", times=2)
            seen = []
            async for each in client.list(NOTES, namespace, label_selector=MINE, limit=2):
                seen.append(each.metadata.name)
                if len(seen) == 1:
                    await client.delete(NOTES, "e", namespace)
                    await client.create(NOTES, note("g"), namespace)
            assert seen == list("abcdfg")
            proxy.answer(410, matching="continue=", reason="Expired", times=EVER)
            with pytest.raises(ApiError, match="410 Expired"):
                [each async for each in client.list(NOTES, namespace, limit=2)]

    with FaultyProxy(cluster) as proxy:
        asyncio.run(story(proxy))


def test_eviction_meets_budgets_and_other_pods_of_the_name(cluster: ControlPlane, namespace: str) -> None:
    async def story() -> None:
        async with client_of(cluster) as client:
            labelled = {**POD, "metadata": {"name": "guest", "labels": {"app": "g"}}}
            # A node would say for itself whether the pod runs.
            labelled["spec"] = {**POD["spec"], "schedulerName": "nobody"}
            pod = await client.create(PODS, labelled, namespace)
            uid = pod.metadata.uid or ""
            other = await refused(client.evict(namespace, "guest", uid="another"))
            assert other.status == 409
            budget = {
                "metadata": {"name": "keep"},
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "g"}}},
            }
            await client.create(BUDGETS, budget, namespace)
            running = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            await client.merge_patch(PODS, "guest", {"status": running}, namespace, subresource="status")
            while True:
                error = await refused(client.evict(namespace, "guest", uid=uid, dry_run=True))
                assert error.status == 429
                if error.retry_after_seconds is None:
                    break  # the budget has been computed
                await asyncio.sleep(0.2)
            assert [cause.reason for cause in error.causes] == ["DisruptionBudget"]
            await client.delete(BUDGETS, "keep", namespace)
            await evicted(client, namespace, uid)
            deleted = await refused(client.get(PODS, "guest", namespace))
            assert deleted.status == 404

    asyncio.run(story())


async def evicted(client: Client, namespace: str, uid: str) -> None:
    """The budget is deleted, but the API server may remember it for a moment."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            await client.evict(namespace, "guest", uid=uid, annotations={"overbook.dev/reason": "a test"})
        except ApiError as error:
            if error.status != 429 or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)
        else:
            return


def test_deleting_spares_another_object_of_the_name(cluster: ControlPlane, namespace: str) -> None:
    async def story() -> None:
        async with client_of(cluster) as client:
            made = await client.create(NOTES, note("a"), namespace)
            assert (await refused(client.delete(NOTES, "a", namespace, uid="another"))).status == 409
            await client.delete(NOTES, "a", namespace, uid=made.metadata.uid)
            pod = await client.create(PODS, {**POD, "spec": {**POD["spec"], "nodeName": "none"}}, namespace)
            await client.delete(PODS, "guest", namespace, uid=pod.metadata.uid, grace_seconds=0)
            assert (await refused(client.get(PODS, "guest", namespace))).status == 404

    asyncio.run(story())


def test_a_name_that_is_missing_never_means_all_of_them(cluster: ControlPlane) -> None:
    async def story() -> None:
        async with client_of(cluster) as client:
            for name, namespace in (("", "default"), ("..", "default"), ("a/b", "default"), ("a", "")):
                with pytest.raises(InvalidInput, match="expected a name"):
                    await client.delete(NOTES, name, namespace)
            with pytest.raises(InvalidInput, match="ConfigMap: namespace"):
                await client.delete(NOTES, "a")
            with pytest.raises(InvalidInput, match="it is not namespaced"):
                await client.get(NODES, "a", "default")

    asyncio.run(story())


def test_a_malformed_object_differs_from_a_refusal(cluster: ControlPlane) -> None:
    class Wrong(KubeStruct, frozen=True):
        metadata: int = 0

    async def story() -> None:
        async with client_of(cluster) as client:
            kind: Kind[Any] = Kind("", "v1", "namespaces", "Namespace", False, Wrong)
            with pytest.raises(UnexpectedAnswer, match=r"no Namespace: Expected `int`.*\$\.metadata"):
                await client.get(kind, "default")
            missing: Kind[Any] = Kind("", "v1", "nothings", "Nothing", False, Note)
            assert (await refused(client.get(missing, "x"))).status == 404

    asyncio.run(story())


def test_client_reads_the_servers_version_and_its_own_user(cluster: ControlPlane) -> None:
    async def story() -> None:
        async with client_of(cluster) as client:
            version = json.loads(await client.raw("GET", "/version"))
            assert version["major"] == "1"
            review = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}
            answer = await client.raw(
                "POST",
                "/apis/authentication.k8s.io/v1/selfsubjectreviews",
                body=json.dumps(review).encode(),
                content_type="application/json",
            )
            assert json.loads(answer)["status"]["userInfo"]["username"] == "kubernetes-admin"
            assert client.last_answer is not None
            names = [each.metadata.name async for each in client.list(NAMESPACES)]
            assert "kube-system" in names

    asyncio.run(story())
