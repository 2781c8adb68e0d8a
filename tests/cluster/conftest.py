"""The tests of this folder share a real control plane, and each has a namespace of its own."""

import itertools
import pathlib
import time
from collections.abc import Iterator, Sequence

import pytest

from overbook.deploy.installation import Installation
from overbook_sandbox.cluster.background import Background
from overbook_sandbox.cluster.control_plane import COMPONENTS, ControlPlane
from overbook_sandbox.cluster.hollow_nodes import HollowNodes
from overbook_sandbox.cluster.hollow_status import HollowNode
from overbook_sandbox.kubevirt.stand_in import KubeVirtStandIn
from tests.cluster.agents import Cluster, Worker
from tests.cluster.installing import install
from tests.part_times import PartTimes
from tests.sandbox_parts import made
from tests.waiting import wait_for

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """All tests share this cluster; a test that ends a part of one uses `breakable_cluster` instead."""
    yield from started(request, tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="module")
def breakable_cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """The tests of a module may kill and restart the parts of this cluster."""
    yield from started(request, tmp_path_factory.mktemp("breakable-cluster"))


@pytest.fixture(scope="module")
def bare_cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """This cluster has no controllers: nodes and pods stay as they were written, however many they are."""
    yield from started(request, tmp_path_factory.mktemp("bare-cluster"), components=())


@pytest.fixture
def namespace(cluster: ControlPlane) -> Iterator[str]:
    """Pods can be created in this namespace of the shared cluster; it is deleted in the background."""
    cluster.require_running()
    name = make_namespace(cluster)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def installed(cluster: ControlPlane) -> Installation:
    """Overbook is installed (custom resources, namespace, accounts, rights, policies), but without pods."""
    return install(cluster)


@pytest.fixture
def worker(cluster: ControlPlane, installed: Installation, tmp_path: pathlib.Path) -> Iterator[Worker]:
    """This node is fresh; the cluster's Overcommit is enforced at 150 %, whatever a test left."""
    assert installed
    settled = Cluster(cluster)
    settled.spec(paused=False, mode="Enforce", percentage=150)
    worker = Worker(settled, tmp_path, f"worker-{next(_numbers)}")
    yield worker
    worker.close()


@pytest.fixture(scope="session")
def hollow_nodes(cluster: ControlPlane) -> Iterator[HollowNodes]:
    """The nodes `hollow-1` to `hollow-3` report pods as running without running them."""
    nodes = HollowNodes(
        cluster.kubeconfig, [HollowNode(f"hollow-{number}") for number in (1, 2, 3)], renew_seconds=4
    )
    with Background(nodes.run, "hollow nodes"):
        yield nodes


@pytest.fixture(scope="session")
def kubevirt(
    cluster: ControlPlane,
    hollow_nodes: HollowNodes,  # noqa: ARG001 - guests need nodes to run on
) -> Iterator[KubeVirtStandIn]:
    """KubeVirt's stand-in has the settings of an installation that migrates on eviction."""
    stand_in = KubeVirtStandIn(cluster, {"evictionStrategy": "LiveMigrate"})
    stand_in.install()
    with Background(stand_in.run, "kubevirt"):
        yield stand_in


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


def started(
    request: pytest.FixtureRequest,
    folder: pathlib.Path,
    *,
    components: Sequence[str] = COMPONENTS,
    addresses: Sequence[str] = (),
    api_server_arguments: Sequence[str] = (),
) -> Iterator[ControlPlane]:
    """Start a control plane of a test's own, or skip the test with the reason."""
    plane = made(
        lambda: ControlPlane(
            str(folder),
            components=components,
            addresses=addresses,
            api_server_arguments=api_server_arguments,
        )
    )
    started = time.monotonic()
    with plane:
        times = request.config.pluginmanager.get_plugin("overbook-part-times")
        if isinstance(times, PartTimes):
            times.add("starting a control plane", time.monotonic() - started)
        yield plane
