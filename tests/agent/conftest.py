import pathlib
from collections.abc import Iterator

import pytest

from overbook.agent.collector import Collector
from overbook.agent.limit_reader import LimitReader
from tests.agent.fake_node import FakeNode


@pytest.fixture
def node(tmp_path: pathlib.Path) -> FakeNode:
    return FakeNode(tmp_path)


@pytest.fixture(autouse=True)
def all_cgroups_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what tests leave open: `select` refuses descriptors from 1,024 on."""
    opened: list[Collector | LimitReader] = []

    def kept(kind: type[Collector] | type[LimitReader]) -> None:
        begin = kind.__init__

        def remembered(self: Collector | LimitReader, *arguments: object, **named: object) -> None:
            begin(self, *arguments, **named)  # type: ignore[arg-type]  # whatever its own arguments are
            opened.append(self)

        monkeypatch.setattr(kind, "__init__", remembered)

    kept(Collector)
    kept(LimitReader)
    yield
    for each in opened:
        each.close()
