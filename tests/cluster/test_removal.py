"""An installation is removed as the documents say: the cluster and its nodes are as before."""

import json
import os
import pathlib
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from overbook.core.api.overcommit_node import TAINT_EFFECT, TAINT_KEY
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.go_programs import find
from tests.agent.fake_node import MI
from tests.cluster.agents import Cluster, Worker
from tests.cluster.conftest import make_namespace, started
from tests.cluster.relief_cluster import configure, controller, controllers_kubeconfig, make_node
from tests.deploy import helm
from tests.docs.reading import ROOT, consoles
from tests.waiting import wait_for

NODES: Final = ("stops", "is-killed")
STALE_SECONDS: Final = 10
OVERLAY: Final = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../deploy/base]
components:
"""
FOREIGN: Final = {
    "security.openshift.io/v1": ("securitycontextconstraints", "SecurityContextConstraints", "Cluster"),
    "monitoring.coreos.com/v1": ("podmonitors", "PodMonitor", "Namespaced"),
    "monitoring.coreos.com/v1 ": ("prometheusrules", "PrometheusRule", "Namespaced"),
}
"""Kinds that another program brings: with a schema that takes everything."""


def foreign(version: str, plural: str, kind: str, scope: str) -> dict[str, Any]:
    group, _, served = version.strip().partition("/")
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "https://github.com/openshift/api"},
        },
        "spec": {
            "group": group,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "scope": scope,
            "versions": [{"name": served, "served": True, "storage": True, "schema": schema}],
        },
    }


@pytest.fixture(scope="module")
def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """No scheduler binds pods to these nodes: without a kubelet they would never end."""
    folder = tmp_path_factory.mktemp("removal")
    for plane in started(request, folder, components=("controller-manager",)):
        for version, named in FOREIGN.items():
            plane.kubectl("create", "-f", "-", stdin=json.dumps(foreign(version, *named)))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all")
        for name in NODES:
            make_node(plane, name)
        yield plane


class AtHome(Worker):
    """This worker's Node is there already."""

    def register(self, **_: Any) -> None:
        """Leave the Node as it is."""


class Shell:
    """A person's shell beside a clone of the repository."""

    def __init__(self, plane: ControlPlane, folder: pathlib.Path, *programs: str) -> None:
        (folder / "bin").mkdir()
        for program in (find().path("kubectl"), *programs):
            (folder / "bin" / os.path.basename(program)).symlink_to(program)
        (folder / "deploy").symlink_to(ROOT / "deploy")
        self._folder = folder
        self._environment = {
            "HOME": str(folder),
            "KUBECONFIG": plane.kubeconfig,
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
        }

    def run(self, line: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(  # noqa: S603 - the documents' own lines
            ("/bin/sh", "-c", line),
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    def does(self, line: str) -> None:
        done = self.run(line)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def documented() -> list[str]:
    """Return the lines of the section about removing, in order."""
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    return consoles(text.partition("\n## Removing\n")[2])


LINES: Final = documented()
BEFORE, CLEAN, KUSTOMIZE, HELM, AT_ONCE = LINES[:3], LINES[3], LINES[4:6], LINES[6:9], LINES[9:]


def everything(plane: ControlPlane) -> set[str]:
    """Return kind, namespace and name of every object, but for events, which expire."""
    kinds = plane.kubectl("api-resources", "--verbs=list", "--output=name", "--cached=false").split()
    listed = ",".join(each for each in kinds if not re.match(r"events\b|componentstatuses", each))
    path = "{range .items[*]}{.apiVersion} {.kind} {.metadata.namespace}/{.metadata.name}{'\\n'}{end}"
    return set(plane.kubectl("get", listed, "--all-namespaces", f"--output=jsonpath={path}").splitlines())


def of_nodes(plane: ControlPlane) -> dict[str, tuple[set[str], set[str]]]:
    """Return each node's taints and conditions, without those that Kubernetes sets where no kubelet is."""
    found = {}
    for name in NODES:
        node = json.loads(plane.kubectl("get", "node", name, "--output=json"))
        taints = {each["key"] for each in node["spec"].get("taints", ())}
        conditions = {each["type"] for each in node["status"]["conditions"]}
        found[name] = (
            {each for each in taints if not each.startswith("node.kubernetes.io/")},
            conditions - {"MemoryPressure", "DiskPressure", "PIDPressure"},
        )
    return found


def by_kustomize(shell: Shell, folder: pathlib.Path) -> None:
    there = sorted(each.name for each in (ROOT / "deploy" / "components").iterdir())
    # Those with `webhook-` stand for `webhook`; the base has `vm-identity`.
    components = [each for each in there if not each.startswith("webhook-") and "vm-identity" not in each]
    (folder / "my-cluster").mkdir()
    named = "".join(f"  - ../deploy/components/{each}\n" for each in components)
    (folder / "my-cluster" / "kustomization.yaml").write_text(OVERLAY + named, encoding="utf-8")
    shell.does("kubectl apply --server-side -k deploy/crds")
    shell.does("kubectl wait --for=condition=Established crd --all")
    shell.does("kubectl apply --server-side -k my-cluster")


def by_helm(shell: Shell, _folder: pathlib.Path) -> None:
    shell.does("kubectl create namespace overbook")
    values = "webhook.enabled=true,vmIdentityPolicy=true,overcommit.relief.lastResort=Delete"
    shell.does(f"helm install overbook deploy/chart --namespace overbook --set {values}")


WAYS: Final[dict[str, tuple[Callable[[Shell, pathlib.Path], None], list[str]]]] = {
    "kustomize": (by_kustomize, KUSTOMIZE),
    "helm": (by_helm, HELM),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_removed_installation_leaves_nothing(plane: ControlPlane, tmp_path: pathlib.Path, way: str) -> None:
    install, remove = WAYS[way]
    shell = Shell(plane, tmp_path, *([helm.program()] if way == "helm" else []))
    before, nodes_before = everything(plane), of_nodes(plane)
    install(shell, tmp_path)
    assert len(everything(plane) - before) > 30
    guests = make_namespace(plane)
    configure(plane, perCluster=0, staleSeconds=STALE_SECONDS)
    with controller(controllers_kubeconfig(plane), tmp_path):
        workers = [AtHome(Cluster(plane), tmp_path / name, name) for name in NODES]
        agents = [worker.start().ready() for worker in workers]
        for worker in workers:
            worker.pod(guests, worker.name, memory_current=400 * MI)
            worker.trouble()
        marked = {name: ({TAINT_KEY}, {"Ready", "OvercommitPressure"}) for name in NODES}
        wait_for(lambda: of_nodes(plane) == marked, "both nodes are tainted and have the condition")
        agents[1].kill()
        shell.does(BEFORE[0])
        agents[0].stop()  # as the kubelet ends the pod of a deleted DaemonSet
        plane.kubectl("delete", "pods", "--all", "--force", "--namespace=overbook-node")
        for line in BEFORE[1:]:
            shell.does(line)
        wait_for(lambda: shell.run(CLEAN).returncode == 1, f"nothing is left: {CLEAN}")
        assert of_nodes(plane) == nodes_before
        for line in remove:
            shell.does(line)
    plane.kubectl("delete", "namespace", guests)
    assert everything(plane) == before
    assert of_nodes(plane) == nodes_before


def test_nodes_are_cleaned_after_all_was_deleted_at_once(plane: ControlPlane, tmp_path: pathlib.Path) -> None:
    before = of_nodes(plane)
    left, _ = NODES
    condition = {"type": "OvercommitPressure", "status": "True", "reason": "Critical"}
    taint = {"spec": {"taints": [{"key": TAINT_KEY, "effect": TAINT_EFFECT}]}}
    plane.kubectl("patch", "node", left, "--patch", json.dumps(taint))
    status = json.dumps({"status": {"conditions": [condition]}})
    plane.kubectl("patch", "node", left, "--subresource=status", "--patch", status)
    shell = Shell(plane, tmp_path)
    for line in AT_ONCE:
        shell.run(line)
    assert of_nodes(plane) == before
