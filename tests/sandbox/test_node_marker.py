from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from overbook_sandbox.machine.spec import GIBIBYTE, MEBIBYTE, MachineSpec
from tests.in_node import Batch, describe, spec_of


def marker(**arguments: Any) -> pytest.Mark:
    mark: pytest.Mark = pytest.mark.node(**arguments).mark
    return mark


def test_the_default_node_has_its_documented_spec() -> None:
    assert spec_of(pytest.mark.node.mark) == MachineSpec(memory_bytes=GIBIBYTE, swap_bytes=GIBIBYTE)


def test_a_particular_node_is_described_by_its_marker() -> None:
    spec = spec_of(marker(memory="512Mi", swap="0", psi=False, cgroup="v1", cpus=2))
    assert spec == MachineSpec(memory_bytes=512 * MEBIBYTE, swap_bytes=0, psi=False, cgroup_version=1, cpus=2)
    assert describe(spec) == "512Mi memory, 0 swap, 2 CPUs, no PSI, cgroup v1"


def test_a_node_can_have_another_kernel_and_words_for_it() -> None:
    spec = spec_of(marker(kernel="newer", boot="zswap.enabled=1 hugepages=8"))
    assert spec.kernel == "newer"
    assert spec.kernel_arguments == ("zswap.enabled=1", "hugepages=8")
    assert describe(spec) == "1Gi memory, 1Gi swap, kernel newer, zswap.enabled=1, hugepages=8"


@pytest.mark.parametrize("wrong", [{"memroy": "1Gi"}, {"cgroup": 2}, {"memory": "much"}, {"kernel": "old"}])
def test_a_wrong_argument_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        spec_of(marker(**wrong))


def test_a_test_left_over_by_a_dead_node_fails_with_the_reason() -> None:
    batch = Batch(MachineSpec())
    batch.take_line("\x1e{'kind': 'start', 'nodeid': 'a'}")
    batch.take_line(".\x1e{'kind': 'report', 'nodeid': 'a', 'report': {'when': 'setup'}}")
    batch.take_line("\x1e{'kind': 'finish', 'nodeid': 'a'}")
    batch.take_line("\x1e{'kind': 'start', 'nodeid': 'b'}")
    batch.take_line("Fatal Python error")
    batch.end("the node went down")
    assert batch.wait("a") == ([{"when": "setup"}], None)
    reports, ending = batch.wait("b")
    assert reports == []
    assert ending is not None
    assert batch.explain("b", ending) == (
        "the node ended in the middle of this test: the node went down\n  Fatal Python error"
    )
    assert batch.explain("c", ending) == "the node went down"
