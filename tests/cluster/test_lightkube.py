"""Another client agrees on what a list holds and on what a watch converges to."""

import asyncio

from lightkube import AsyncClient, KubeConfig
from lightkube.config.kubeconfig import SingleConfig
from lightkube.resources.core_v1 import ConfigMap

from overbook.kube.api.backoff import Backoff
from overbook.kube.api.reflector import Reflector
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.configmaps import MINE, NOTES, client_of, note
from tests.cluster.faulty_proxy import FaultyProxy
from tests.running import running, until

Seen = dict[str, tuple[str | None, str | None, dict[str, str] | None]]


def other_config(cluster: ControlPlane) -> SingleConfig:
    config = KubeConfig.from_file(cluster.kubeconfig).get()
    assert config is not None
    return config


async def by_lightkube(cluster: ControlPlane, namespace: str) -> Seen:
    client = AsyncClient(config=other_config(cluster))
    seen: Seen = {}
    async for each in client.list(ConfigMap, namespace=namespace, labels={"test": "notes"}, chunk_size=7):
        metadata = each.metadata
        assert metadata is not None
        seen[f"{metadata.namespace}/{metadata.name}"] = (metadata.uid, metadata.resourceVersion, each.data)
    await client.close()
    return seen


def test_lists_and_views_agree(cluster: ControlPlane, namespace: str) -> None:
    async def story(proxy: FaultyProxy) -> None:
        async with client_of(cluster) as direct, client_of(proxy.config()) as client:
            reflector = Reflector(
                client, NOTES, namespace=namespace, label_selector=MINE, backoff=Backoff(0.02, 0.2)
            )

            def followed() -> Seen:
                return {
                    key: (each.metadata.uid, each.metadata.resource_version, each.data)
                    for key, each in reflector.objects.items()
                }

            async with running(reflector.run()):
                for number in range(20):
                    await direct.create(NOTES, note(f"n{number}", 'ä\n"\\' * number), namespace)
                    if number % 5 == 0:
                        proxy.cut_all()
                    if number % 3 == 0:
                        await direct.delete(NOTES, f"n{number // 2}", namespace)
                        await direct.create(NOTES, note(f"n{number // 2}", "again"), namespace)
                theirs = await by_lightkube(cluster, namespace)
                ours = {
                    f"{each.metadata.namespace}/{each.metadata.name}": (
                        each.metadata.uid,
                        each.metadata.resource_version,
                        each.data,
                    )
                    async for each in direct.list(NOTES, namespace, label_selector=MINE, limit=3)
                }
                assert ours == theirs
                await until(lambda: followed() == theirs, f"the view is what lightkube lists: {theirs}")

    with FaultyProxy(cluster) as proxy:
        asyncio.run(story(proxy))
