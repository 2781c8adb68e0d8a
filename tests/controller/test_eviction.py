"""What KubeVirt, or something in its place, answers to the cancellation of an evacuation."""

import asyncio
import json

import pytest

from overbook.controller.eviction import EvictionApi
from overbook.core.relief.case import Cancel, Uncancelled
from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig
from overbook.kube.api.errors import KubeError
from tests.kube.api.scripted_server import Served, answer, serving

STEP = Cancel("u", "shop/virt-launcher-db", "shop/db", "node-a", "kubevirt-evacuation-x", "m-1")
CANCEL = "PUT /apis/subresources.kubevirt.io/v1/namespaces/shop/virtualmachineinstances/db/evacuate/cancel"
DELETE = "DELETE /apis/kubevirt.io/v1/namespaces/shop/virtualmachineinstancemigrations/kubevirt-evacuation-x"


def status(code: int, reason: str, message: str) -> bytes:
    body = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return answer(json.dumps(body).encode(), code)


def withdrawn(step: Cancel, *answers: bytes) -> tuple[Uncancelled | None, list[str]]:
    """Withdraw an eviction from a server that gives these answers; return the result and the requests."""
    left = list(answers)

    async def script(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            await served.asked(reader)
            writer.write(left.pop(0))

    async def run() -> tuple[Uncancelled | None, list[str]]:
        async with serving(script) as served:
            client = Client(ClusterConfig(server=served.server))
            try:
                found = await EvictionApi(client).withdraw(step)
            finally:
                await client.close()
            return found, [head.partition(" HTTP/")[0] for head in served.heads]

    return asyncio.run(run())


def test_the_mark_is_removed_before_the_migration_is_deleted() -> None:
    assert withdrawn(STEP, answer(b""), answer(b"{}")) == (None, [CANCEL, DELETE])


def test_an_evacuation_without_a_migration_needs_one_request() -> None:
    step = Cancel("u", "shop/virt-launcher-db", "shop/db", "node-a")
    assert withdrawn(step, answer(b"")) == (None, [CANCEL])


@pytest.mark.parametrize(
    "gone",
    [
        status(404, "NotFound", 'virtualmachineinstancemigrations "kubevirt-evacuation-x" not found'),
        status(409, "Conflict", "the UID in the precondition does not match"),
    ],
)
def test_a_migration_that_has_gone_is_no_obstacle(gone: bytes) -> None:
    assert withdrawn(STEP, answer(b""), gone)[0] is None


@pytest.mark.parametrize(
    "refusal",
    [
        answer(b"404 page not found", 404),
        status(404, "NotFound", "the server could not find the requested resource"),
        status(403, "Forbidden", 'cannot update resource "virtualmachineinstances/evacuate"'),
    ],
)
def test_an_older_kubevirt_or_a_missing_right_is_final(refusal: bytes) -> None:
    found, requests = withdrawn(STEP, refusal)
    assert found is not None
    assert found.is_final
    assert requests == [CANCEL], "deleting the migration alone would only begin the next"


@pytest.mark.parametrize(
    "refusal",
    [
        status(500, "InternalError", "the server rejected our request"),
        status(503, "ServiceUnavailable", "unavailable"),
    ],
)
def test_a_virt_api_that_is_down_is_tried_again(refusal: bytes) -> None:
    with pytest.raises(KubeError):
        withdrawn(STEP, refusal, refusal, refusal)
