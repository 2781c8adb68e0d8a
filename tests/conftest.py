"""Tests marked `node` run in an emulated node; the end of a session says how long each part took."""

import pytest

from tests import in_node, part_times


def pytest_configure(config: pytest.Config) -> None:
    if in_node.inside():
        config.pluginmanager.register(in_node.Messenger(config), "overbook-messenger")
        return
    times = part_times.PartTimes()
    config.pluginmanager.register(times, "overbook-part-times")
    config.pluginmanager.register(in_node.NodeTests(config, times.add), "overbook-node-tests")
