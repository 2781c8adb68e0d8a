"""Tests marked `node` run in an emulated node, those marked `beside` wait for a command beside all others.

The end of a session says how long each part took.
"""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if "OVERBOOK_IN_NODE" not in os.environ:
        from hypothesis import HealthCheck, settings  # noqa: PLC0415 - slow to import in a node

        from tests import in_node, no_skips, parallel_command, part_times  # noqa: PLC0415 - slow to import in a node

        settings.register_profile(
            "overbook", max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        )
        settings.load_profile("overbook")
        times = part_times.PartTimes()
        config.pluginmanager.register(times, "overbook-part-times")
        config.pluginmanager.register(in_node.NodeTests(config, times.add), "overbook-node-tests")
        config.pluginmanager.register(parallel_command.BesideTests(), "overbook-beside-tests")
        if os.environ.get("CI") == "true":
            config.pluginmanager.register(no_skips.NoSkips(), "overbook-no-skips")
        return
    from tests import guest_reporter  # noqa: PLC0415 - slow to import in a node

    if guest_reporter.VARIABLE in os.environ:  # otherwise a person runs pytest in the node
        config.pluginmanager.register(guest_reporter.GuestReporter(config), "overbook-guest-reporter")
