"""Tests marked `node` run in an emulated node, those marked `beside` wait for a command beside all others.

The end of a session says how long each part took.
"""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if "OVERBOOK_IN_NODE" not in os.environ:
        from tests import beside, in_node, no_skips, part_times  # noqa: PLC0415 - slow to import in a node

        times = part_times.PartTimes()
        config.pluginmanager.register(times, "overbook-part-times")
        config.pluginmanager.register(in_node.NodeTests(config, times.add), "overbook-node-tests")
        config.pluginmanager.register(beside.BesideTests(), "overbook-beside-tests")
        if os.environ.get("CI") == "true":
            config.pluginmanager.register(no_skips.NoSkips(), "overbook-no-skips")
        return
    from tests import messenger  # noqa: PLC0415 - only of use there

    if messenger.VARIABLE in os.environ:  # otherwise a person runs pytest in the node
        config.pluginmanager.register(messenger.Messenger(config), "overbook-messenger")
