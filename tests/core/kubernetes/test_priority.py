from typing import Any

from overbook.core.kubernetes.pod import convert
from overbook.core.kubernetes.priority import PriorityClass, priorities, with_priority
from tests.core.pod_manifests import pod_of


def class_of(name: str, value: int, **more: Any) -> PriorityClass:
    return convert({"metadata": {"name": name}, "value": value, **more}, PriorityClass, "PriorityClass")


def test_the_system_s_classes_are_known_and_cannot_be_changed() -> None:
    known = priorities([class_of("system-node-critical", 1)])
    for name, value in (
        ("system-node-critical", 2_000_001_000),
        ("system-cluster-critical", 2_000_000_000),
        ("kubevirt-cluster-critical", 1_000_000_000),
    ):
        assert with_priority(pod_of({}, priorityClassName=name), known).spec.priority == value


def test_priority_classes_give_a_priority_and_a_default() -> None:
    known = priorities(
        [
            class_of("high", 1000),
            class_of("usual", 10, globalDefault=True),
            class_of("other", 20, globalDefault=True),
        ]
    )
    assert with_priority(pod_of({}, priorityClassName="high"), known).spec.priority == 1000
    plain = with_priority(pod_of({}), known).spec
    assert (plain.priority, plain.priority_class_name) == (10, "usual")
    assert with_priority(pod_of({}), priorities([])).spec.priority == 0


def test_a_given_priority_stays_and_an_unknown_class_gives_none() -> None:
    known = priorities([])
    assert with_priority(pod_of({}, priority=7), known).spec.priority == 7
    assert with_priority(pod_of({}, priorityClassName="gone"), known).spec.priority is None
