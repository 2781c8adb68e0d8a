"""Lanes: tests are shared out among a few pytest processes, by what they need.

A unit is what shares a control plane, a node or a folder. Its tests run in one process, in their order. The
long units come first: while one lane waits for a cluster, another computes.
"""

from collections.abc import Generator
from typing import Any, Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

OUTAGE: Final = "ten minutes without an API server"
UNITS: Final = {
    OUTAGE: ("tests/cluster/test_agent_ten_minute_outage.py",),
    "a shared control plane": ("tests/cluster/",),
    "a Kubernetes node": ("tests/cluster/node/",),
    "shipped pods": ("tests/cluster/shipped/",),
}
"""The longest units, in the order in which they begin, by the paths of their tests; the longest match counts.

The first one waits. The second one waits for much, and leaves a core to the emulated node of the third.
"""
EMULATED: Final = "tests/emulated/"
"""A file of tests on emulated nodes is a unit: these come next, and fill both lanes."""


def unit_of(nodeid: str) -> str:
    """The unit to which a test belongs; each other folder below ``tests`` is one."""
    path = nodeid.partition("::")[0]
    found = [
        (len(prefix), unit)
        for unit, prefixes in UNITS.items()
        for prefix in prefixes
        if path.startswith(prefix)
    ]
    if found:
        return max(found)[1]
    return path if path.startswith(EMULATED) else "/".join(path.split("/")[:2])


def _rank(nodeid: str) -> int:
    unit = unit_of(nodeid)
    if unit in UNITS:
        return list(UNITS).index(unit)
    return len(UNITS) + (not unit.startswith(EMULATED))


class LaneScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out whole units, in the order of the collection."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        super()._assign_work_unit(node)
        # A process begins its last test only when it knows what follows. Nothing is to wait behind this one.
        if OUTAGE in self.assigned_work[node]:
            node.shutdown()


class Lanes:
    """The plugin: order of the units, and who gets them."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None]:
        yield  # the tests of one emulated node have been put side by side
        items.sort(key=lambda item: _rank(item.nodeid))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> LaneScheduling:
        return LaneScheduling(config, log)
