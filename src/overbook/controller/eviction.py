"""How a pod's eviction is requested, and how one that goes on in the background is taken back.

Today that is the Eviction API, behind which KubeVirt begins a live migration, and KubeVirt's own API to
cancel it. ``EvictionRequest`` (``lifecycle.k8s.io``), where a requester adds itself to an object and removes
itself again, has the same two verbs: it would be another :class:`Eviction`.
"""

from typing import Final, Protocol

import msgspec

from overbook.controller.kinds import INSTANCES, MIGRATIONS
from overbook.core.api.overcommit_node import ReliefRecord
from overbook.core.kubevirt.vm import KUBEVIRT_GROUP
from overbook.core.relief.answer import ACCEPTED, EvictionAnswer, EvictionCause, no_answer, understood
from overbook.core.relief.case import Cancel, Delete, Evict, Uncancelled
from overbook.kube.api.client import Client
from overbook.kube.api.errors import AccessError, ApiError, ApiUnavailable, KubeError, NotSent, is_status
from overbook.kube.api.kinds import PODS

REASON_ANNOTATION: Final = "overbook.dev/reason"
REQUEST_ANNOTATION: Final = "overbook.dev/request-id"
SUBRESOURCES: Final = f"subresources.{KUBEVIRT_GROUP}"
"""The API group that KubeVirt's virt-api serves."""


class Eviction(Protocol):
    """A way to have a pod evicted."""

    async def request(self, record: ReliefRecord, step: Evict | Delete) -> EvictionAnswer:
        """Request that a pod leaves, and return what the answer means.

        Raises:
            NotSent: nobody was asked, so nobody has answered; the step is tried again.
        """

    async def withdraw(self, step: Cancel) -> Uncancelled | None:
        """Take back what goes on in the background; ``None``: nothing of it is left.

        Raises:
            KubeError: it is not known whether it is taken back; trying again is harmless.
        """


class EvictionApi:
    """Evictions by the Eviction API (policy/v1), and their cancellation by KubeVirt.

    Args:
        client: the client for evictions, which other programs' webhooks may hold up for half a minute.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def request(self, record: ReliefRecord, step: Evict | Delete) -> EvictionAnswer:
        """Evict a pod, or delete it as the last resort."""
        namespace, _, name = step.label.partition("/")
        try:
            if isinstance(step, Delete):
                await self._client.delete(PODS, name, namespace, uid=step.uid)
            else:
                annotations = {REASON_ANNOTATION: record.message, REQUEST_ANNOTATION: record.request_id}
                await self._client.evict(namespace, name, uid=step.uid, annotations=annotations)
        except ApiError as error:
            causes = [EvictionCause(cause.reason, cause.message) for cause in error.causes]
            return understood(error.status, error.reason, error.message, causes, error.retry_after_seconds)
        except AccessError as error:
            return EvictionAnswer("Later", "NoAccess", str(error))
        except NotSent:
            raise
        except (ApiUnavailable, KubeError) as error:
            return no_answer(str(error))
        return ACCEPTED

    async def withdraw(self, step: Cancel) -> Uncancelled | None:
        """Remove KubeVirt's mark, then delete the migration: in the other order the next one would come."""
        namespace, _, name = step.instance.partition("/")
        place = f"/apis/{SUBRESOURCES}/{INSTANCES.version}/namespaces/{namespace}/{INSTANCES.plural}/{name}"
        body = msgspec.json.encode({"evacuationNodeName": step.node})
        try:
            await self._client.raw(
                "PUT", f"{place}/evacuate/cancel", body=body, content_type="application/json"
            )
            if step.migration:
                await self._client.delete(MIGRATIONS, step.migration, namespace, uid=step.migration_uid)
        except ApiError as error:
            if is_status(error, 409) or (error.is_not_found and step.migration in error.message):
                return None  # the migration is over and gone
            if is_status(error, 403, 404, 405):  # no right to it, or an older KubeVirt
                return Uncancelled(str(error), is_final=True)
            raise
        return None
