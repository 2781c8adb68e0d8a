"""A real control plane for the tests of this folder, and a namespace of its own for each of them."""

import itertools
import os
import pathlib
import time
from collections.abc import Iterator

import pytest

from overbook.sandbox.control_plane import ControlPlane
from overbook.sandbox.errors import SandboxUnavailableError
from tests.part_times import PartTimes
from tests.waiting import wait_for

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """One for all tests; whoever ends a part of it asks for `breakable_cluster` instead."""
    yield from _started(request, tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="module")
def breakable_cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """One for the tests of a module, to kill and start again."""
    yield from _started(request, tmp_path_factory.mktemp("breakable-cluster"))


@pytest.fixture
def namespace(cluster: ControlPlane) -> Iterator[str]:
    """A namespace of the shared cluster in which pods can be made; it is deleted in the background."""
    cluster.require_running()
    name = make_namespace(cluster)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def make_namespace(cluster: ControlPlane) -> str:
    """Make a namespace and wait until it has its service account, without which no pod can be made."""
    name = f"test-{next(_numbers)}"
    cluster.kubectl("create", "namespace", name)
    accounts = (
        "get",
        "serviceaccount",
        "default",
        "--namespace",
        name,
        "--ignore-not-found",
        "--output=name",
    )
    wait_for(lambda: cluster.kubectl(*accounts), f"a service account in namespace {name}")
    return name


def _started(request: pytest.FixtureRequest, folder: pathlib.Path) -> Iterator[ControlPlane]:
    try:
        plane = ControlPlane(str(folder))
    except SandboxUnavailableError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    started = time.monotonic()
    with plane:
        times = request.config.pluginmanager.get_plugin("overbook-part-times")
        if isinstance(times, PartTimes):
            times.add("starting a control plane", time.monotonic() - started)
        yield plane
