import pathlib

import pytest

from tests.agent.fake_node import FakeNode


@pytest.fixture
def node(tmp_path: pathlib.Path) -> FakeNode:
    return FakeNode(tmp_path)
