"""No `Overcommit`, or one of another version, means hands off, and whoever applies again changes nothing."""

import json
import pathlib
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from overbook.cli import main
from overbook_sandbox.cluster.control_plane import ControlPlane, KubectlError
from tests.cluster import relief_cluster
from tests.cluster.agents import Cluster, Worker
from tests.cluster.as_user import MERGE, UserClient
from tests.cluster.conftest import make_namespace
from tests.cluster.installing import install
from tests.cluster.relief_cluster import (
    ControllerProcess,
    controller,
    make_node,
    make_pod,
    pod_exists,
    report,
)
from tests.deploy import helm
from tests.docs.reading import ROOT
from tests.waiting import wait_for

OVERCOMMIT = "/apis/overbook.dev/v1alpha1/overcommits/cluster"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/overcommits.overbook.dev"
OWNERS = {"percentage": 180, "mode": "Enforce", "paused": False, "relief": {"perCluster": 3}}
FORCED = ("--server-side", "--force-conflicts", "--field-manager=argocd-controller")


@pytest.fixture(scope="module")
def plane(breakable_cluster: ControlPlane) -> ControlPlane:
    install(breakable_cluster)
    return breakable_cluster


@pytest.fixture
def admin(plane: ControlPlane) -> UserClient:
    """The `Overcommit` is that of a test: enforced at 150 %."""
    admin = UserClient(plane.kubeconfig)
    relief_cluster.configure(plane, coolDownSeconds=1)
    admin.ask("PATCH", OVERCOMMIT, {"spec": {"percentage": 150, "paused": False}}, MERGE)
    return admin


@pytest.fixture
def worker(plane: ControlPlane, tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> Iterator[Worker]:
    worker = Worker(Cluster(plane), tmp_path, f"worker-{abs(hash(request.node.name)) % 10**8}")
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def running(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControllerProcess]:
    kubeconfig = relief_cluster.controllers_kubeconfig(plane)
    with controller(kubeconfig, tmp_path_factory.mktemp("controller")) as process:
        yield process


@pytest.fixture
def asking(plane: ControlPlane) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Return a node that requests relief, and whether its candidate is still there."""
    namespace = make_namespace(plane)
    node = f"node-of-{namespace}"
    make_node(plane, node)
    pod = make_pod(plane, namespace, "wild", node)
    report(plane, node, pod)
    yield node, lambda: pod_exists(plane, pod)
    plane.kubectl("delete", "overcommitnode", node, "--ignore-not-found")
    plane.kubectl("delete", "namespace", namespace, "--wait=false")
    plane.kubectl("delete", "node", node, "--wait=false")


def values(process: ControllerProcess, name: str) -> list[str]:
    lines = process.get("/metrics")[1].splitlines()
    return [line.split()[-1] for line in lines if line.startswith(f"overbook_controller_{name}")]


def events(plane: ControlPlane) -> set[str]:
    items = json.loads(plane.kubectl("get", "events", "-n", "default", "-o", "json"))["items"]
    return {item["reason"] for item in items if item["involvedObject"]["kind"] == "Overcommit"}


def findings(plane: ControlPlane, capsys: pytest.CaptureFixture[str]) -> list[str]:
    main(["status", "--kubeconfig", plane.kubeconfig, "-o", "json"])
    return [each["word"] for each in json.loads(capsys.readouterr().out)["findings"]]


def delete(admin: UserClient) -> None:
    admin.ask("DELETE", OVERCOMMIT)


def write_a_newer_word(admin: UserClient) -> None:
    """Write a mode that only a newer version knows: its definition allows that."""
    _change_modes(admin, lambda modes: sorted({*modes, "Suggest"}))

    def written() -> bool:
        return not admin.refusal("PATCH", OVERCOMMIT, {"spec": {"mode": "Suggest"}}, MERGE)

    wait_for(written, "the newer definition is served")


def _change_modes(admin: UserClient, change: Callable[[list[str]], list[str]]) -> None:
    definition = admin.ask("GET", CRD)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    mode = schema["properties"]["spec"]["properties"]["mode"]
    mode["enum"] = change(mode["enum"])
    admin.ask("PUT", CRD, definition)


BREAKS = pytest.mark.parametrize(
    ("break_it", "word"), [(delete, "NoOvercommit"), (write_a_newer_word, "OvercommitUnreadable")]
)


@BREAKS
def test_an_unusable_overcommit_holds_the_controller_back(
    plane: ControlPlane,
    admin: UserClient,
    running: ControllerProcess,
    asking: tuple[str, Callable[[], bool]],
    break_it: Callable[[UserClient], None],
    word: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    node, still_there = asking
    wait_for(lambda: not still_there(), "a pod is evicted while that is enforced")
    break_it(admin)
    wait_for(lambda: values(running, "overcommit_usable") == ["0"], "the metric says so")
    namespace = make_namespace(plane)
    pod = make_pod(plane, namespace, "wild", node)
    report(plane, node, pod, request_id="r2")
    waiting = relief_cluster.wait_for_stage(plane, node, "Waiting")
    assert "so nothing is changed" in waiting.message
    assert f"{namespace}/wild would be evicted" in waiting.message
    wait_for(lambda: word in events(plane), "an event")
    assert word in findings(plane, capsys)
    assert pod_exists(plane, pod)
    relief_cluster.configure(plane, coolDownSeconds=1)
    wait_for(lambda: not pod_exists(plane, pod), "the pod is evicted once that is enforced again")
    assert values(running, "overcommit_usable") == ["1"]
    plane.kubectl("delete", "namespace", namespace, "--wait=false")


@BREAKS
def test_an_unusable_overcommit_makes_agents_observe(
    plane: ControlPlane,
    admin: UserClient,
    worker: Worker,
    break_it: Callable[[UserClient], None],
    word: str,
) -> None:
    namespace = make_namespace(plane)
    worker.pod(namespace, "big", memory_current=400 * 2**20)
    agent = worker.start(settings=None).ready()
    worker.trouble()
    worker.asked()
    wait_for(lambda: worker.tainted, "the taint")
    break_it(admin)
    wait_for(lambda: worker.status["mode"] == "Observe", "the agent observes")
    wait_for(lambda: worker.request is None and not worker.tainted, "request and taint are taken back")
    assert word in {problem["word"] for problem in worker.status["problems"]}
    assert (agent.metric("overcommit_usable"), agent.metric("enforcing")) == (0, 0)
    agent.stop()
    again = worker.start().ready()
    wait_for(lambda: again.metric("overcommit_usable") == 0, "a new agent sees the same")
    assert again.metric("enforcing") == 0
    relief_cluster.configure(plane)
    wait_for(lambda: again.metric("enforcing") == 1, "the owner's word counts again")
    plane.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize(
    ("spec", "enforcing", "paused"),
    [({"mode": "Enforce"}, 1, 0), ({"paused": True}, 0, 1), ({"mode": "Observe"}, 0, 0)],
    ids=["enforced", "paused", "observed"],
)
def test_the_last_word_holds_while_the_api_is_away(
    admin: UserClient, worker: Worker, spec: dict[str, Any], enforcing: int, paused: int
) -> None:
    admin.ask("PATCH", OVERCOMMIT, {"spec": spec}, MERGE)
    first = worker.start().ready()
    wait_for(lambda: first.metric("overcommit_usable") == 1, "the Overcommit is read")
    first.kill()
    second = worker.start(server="https://127.0.0.1:1")
    wait_for(lambda: second.metric("ticks_total"), "ticks")
    wait_for(lambda: second.metric("enforcing") == enforcing, "the last word is followed")
    assert second.metric("paused") == paused
    second.kill()
    (worker.files.root / "run/overbook/overcommit.json").write_text('{"node": "')
    third = worker.start(server="https://127.0.0.1:1")
    wait_for(lambda: (third.metric("ticks_total") or 0) > 60, "the agent has waited for the API server")
    assert (third.metric("enforcing"), third.metric("paused")) == (0, 0)


# Whoever applies again changes nothing.


def spec_of(admin: UserClient) -> dict[str, Any]:
    spec: dict[str, Any] = admin.ask("GET", OVERCOMMIT)["spec"]
    return spec


def sets(admin: UserClient) -> None:
    """Set what the owner wants, as `kubectl patch` does."""
    admin.ask("PATCH", OVERCOMMIT, {"spec": OWNERS}, MERGE, fieldManager="kubectl-patch")


def kept(admin: UserClient) -> bool:
    spec = spec_of(admin)
    return {key: spec[key] for key in OWNERS if key != "relief"} == {
        key: value for key, value in OWNERS.items() if key != "relief"
    } and spec["relief"]["perCluster"] == 3


def shipped(plane: ControlPlane) -> str:
    """Return the base as kustomize makes it, with the file that is beside it, but without pods."""
    made = yaml.safe_load_all(helm.kustomize(str(ROOT / "deploy/base")))
    beside = yaml.safe_load_all((ROOT / "deploy/overcommit.yaml").read_text("utf-8"))
    objects = [each for each in (*made, *beside) if each["kind"] not in {"DaemonSet", "Deployment"}]
    assert plane.kubeconfig
    return yaml.safe_dump_all(objects)


def client_side(plane: ControlPlane) -> None:
    plane.kubectl("apply", "-f", "-", stdin=shipped(plane))


def server_side(plane: ControlPlane) -> None:
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=shipped(plane))


def argo_client_side(plane: ControlPlane) -> None:
    plane.kubectl("apply", "-f", "-", stdin=tracked(plane))


def argo_server_side(plane: ControlPlane) -> None:
    plane.kubectl("apply", *FORCED, "-f", "-", stdin=tracked(plane))


def argo_of_the_chart(plane: ControlPlane) -> None:
    rendered = [each for each in yaml.safe_load_all(helm.template()) if each and each["kind"] == "Overcommit"]
    plane.kubectl("apply", *FORCED, "-f", "-", stdin=yaml.safe_dump_all(rendered))


def tracked(plane: ControlPlane) -> str:
    """Return the objects as Argo CD applies them: with its tracking annotation."""
    objects = list(yaml.safe_load_all(shipped(plane)))
    for each in objects:
        each["metadata"].setdefault("annotations", {})["argocd.argoproj.io/tracking-id"] = "overbook"
    return yaml.safe_dump_all(objects)


def by_helm(plane: ControlPlane) -> None:
    chart = str(ROOT / "deploy" / "chart")
    about = ("--namespace", "overbook", "--kubeconfig", plane.kubeconfig, "--take-ownership", "--skip-crds")
    command = (helm.program(), "upgrade", "--install", "overbook", chart, *about)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)  # noqa: S603 - no shell; the program is ours
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "apply",
    [client_side, server_side, argo_client_side, argo_server_side, argo_of_the_chart, by_helm],
    ids=lambda way: way.__name__,
)
def test_applying_again_never_changes_what_the_owner_set(
    plane: ControlPlane, admin: UserClient, apply: Callable[[ControlPlane], None]
) -> None:
    delete(admin)
    apply(plane)
    assert spec_of(admin)["mode"] == "Observe"
    sets(admin)
    for _ in range(2):
        apply(plane)
        assert kept(admin)
    if apply is by_helm:
        plane.kubectl("-n", "overbook", "delete", "daemonset,deployment", "--all")


@pytest.mark.parametrize("apply", [client_side, server_side], ids=lambda way: way.__name__)
def test_the_base_of_before_leaves_its_overcommit_alone(
    plane: ControlPlane, admin: UserClient, apply: Callable[[ControlPlane], None]
) -> None:
    """An installation of 0.1.0 had the object in the base; the new base does not touch it."""
    delete(admin)
    old = yaml.safe_load((ROOT / "deploy/overcommit.yaml").read_text("utf-8"))
    old["spec"] = {"percentage": 100, "mode": "Observe"}
    plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(old))
    sets(admin)
    base = [each for each in yaml.safe_load_all(shipped(plane)) if each["kind"] != "Overcommit"]
    how = ("--server-side", "--force-conflicts") if apply is server_side else ()
    plane.kubectl("apply", *how, "-f", "-", stdin=yaml.safe_dump_all(base))
    assert kept(admin)


def test_the_shipped_file_is_created_only_once(plane: ControlPlane, admin: UserClient) -> None:
    sets(admin)
    with pytest.raises(KubectlError, match="AlreadyExists"):
        plane.kubectl("create", "-f", str(ROOT / "deploy/overcommit.yaml"))
    assert kept(admin)
