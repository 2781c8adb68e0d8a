import logging
from collections.abc import Mapping

import msgspec
import pytest

from overbook.agent.known_pods import KnownPods
from overbook.core.kubernetes.pod import Pod
from overbook.core.overcommit.allowance import SwapPolicy
from tests.core.pod_manifests import GI, pod_of

NODE = (16 * GI, 8 * GI)


def pod(uid: str, memory: str = "1Gi", annotations: dict[str, str] | None = None) -> Pod:
    """Return a pod with a UID."""
    made = pod_of({"requests": {"memory": memory}}, annotations=annotations)
    return msgspec.structs.replace(made, metadata=msgspec.structs.replace(made.metadata, uid=uid))


class Known:
    """A source that has what the test puts into it."""

    def __init__(self, *pods: Pod) -> None:
        self.pods: Mapping[str, Pod] = {}
        self.namespaces: Mapping[str, Mapping[str, str]] = {}
        self.put(*pods)

    def put(self, *pods: Pod) -> None:
        self.pods = {each.metadata.uid or "": each for each in pods}
        self._changed = True

    def refresh(self) -> bool:
        changed, self._changed = self._changed, False
        return changed


A, B = pod("a"), pod("b")
BROKEN = pod("a", "nonsense")


class Looked:
    """The known pods of a source, after a look at it."""

    def __init__(self, *pods: Pod) -> None:
        self.source = Known(*pods)
        self.known_pods = KnownPods(self.source, SwapPolicy())
        self.look()

    def put(self, *pods: Pod) -> None:
        self.source.put(*pods)
        self.look()

    def look(self, node: tuple[int, int] = NODE) -> None:
        self.known_pods.look()
        self.known_pods.refresh(*node)

    @property
    def requests(self) -> dict[str, int | None]:
        return {uid: each.requests.memory_bytes for uid, each in self.known_pods.pods.items()}


def test_only_a_pod_that_changed_is_resolved_again() -> None:
    one = Looked(A, B)
    before = one.known_pods.pods
    assert one.requests == {"a": GI, "b": GI}
    one.put(A, pod("b", "2Gi"))
    assert one.requests == {"a": GI, "b": 2 * GI}
    assert one.known_pods.pods is not before
    assert one.known_pods.pods["a"] is before["a"]


def test_resolved_pods_are_the_same_mapping_while_none_changes() -> None:
    one = Looked(A, B)
    before = one.known_pods.pods
    one.look()
    assert one.known_pods.pods is before


def test_a_pod_that_is_gone_is_no_resolved_pod() -> None:
    one = Looked(A, B)
    one.put(B)
    assert one.requests == {"b": GI}
    assert one.known_pods.facts.keys() == {"b"}


def test_a_pod_that_makes_no_sense_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        one = Looked(BROKEN, B)
        one.put(BROKEN, pod("b"))
    assert one.requests == {"b": GI}
    assert one.known_pods.facts.keys() == {"b"}
    assert [record.message.partition(":")[0] for record in caplog.records] == ["pod shop/cart is left alone"]
    one.put(A, B)
    assert one.requests == {"a": GI, "b": GI}


def test_a_pod_without_facts_is_resolved_all_the_same() -> None:
    one = Looked(pod(""), B)
    assert one.requests == {"": GI, "b": GI}
    assert one.known_pods.facts.keys() == {"b"}


def test_other_ram_or_percentage_resolves_no_pod_again() -> None:
    one = Looked(A)
    before, facts = one.known_pods.pods["a"], one.known_pods.facts["a"]
    one.look((32 * GI, 8 * GI))
    one.known_pods.use_percent(150)
    one.look((32 * GI, 8 * GI))
    assert one.known_pods.pods["a"] is before
    assert one.known_pods.facts["a"] is not facts
