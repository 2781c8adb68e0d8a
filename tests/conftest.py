"""Tests marked `node` run in an emulated node; lanes share the tests out among processes.

The end of a session says how long each part and each lane took.
"""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if "OVERBOOK_IN_NODE" not in os.environ:
        # Slow to import in a node.
        from hypothesis import HealthCheck, settings  # noqa: PLC0415

        from tests import in_node, lanes, no_skips, part_times  # noqa: PLC0415

        os.environ.pop("COLUMNS", None)  # a lane's process has one, and programs are to print as they do
        settings.register_profile(
            "overbook", max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        )
        settings.load_profile("overbook")
        times = part_times.PartTimes(config)
        config.pluginmanager.register(times, "overbook-part-times")
        config.pluginmanager.register(in_node.NodeTests(config, times.add), "overbook-node-tests")
        config.pluginmanager.register(lanes.Lanes(), "overbook-lanes")
        if os.environ.get("CI") == "true" and not hasattr(config, "workerinput"):
            config.pluginmanager.register(no_skips.NoSkips(), "overbook-no-skips")
        return
    from tests import guest_reporter  # noqa: PLC0415 - only of use there

    if guest_reporter.VARIABLE in os.environ:  # otherwise a person runs pytest in the node
        config.pluginmanager.register(guest_reporter.GuestReporter(config), "overbook-guest-reporter")
