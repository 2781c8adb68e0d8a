import copy
from typing import Any

import pytest
import yaml

from overbook.deploy.installation import Installation
from overbook.deploy.parts import PARTS
from overbook.deploy.pod_parts import REQUIRED_SCC
from tests.deploy import helm
from tests.deploy.openshift_admission import Admitted, Manifest, RefusedError, admit, restrictiveness
from tests.deploy.openshift_values import (
    FIRST_UID,
    FOR_EVERYBODY,
    SCHEMA_KNOWS,
    SCHEMA_REQUIRES,
    SHIPPED,
    namespace,
)
from tests.docs.reading import ROOT

ALL = {part.group for part in PARTS}


def rendered() -> list[Manifest]:
    return [each for part in PARTS for each in part.objects(Installation())]


def of_kustomize() -> list[Manifest]:
    folders = ["base", *(f"components/{name}" for name in sorted(ALL - {"crds", "base"}))]
    texts = [
        file.read_text(encoding="utf-8")
        for folder in folders
        for file in (ROOT / "deploy" / folder).glob("*.yaml")
        if file.name != "kustomization.yaml"
    ]
    return [each for text in texts for each in yaml.safe_load_all(text)]


def of_helm() -> list[Manifest]:
    choices = ("--set", "webhook.enabled=true", "--api-versions", "security.openshift.io/v1")
    return [each for each in yaml.safe_load_all(helm.template(*choices)) if each]


FLAVOURS = {"overbook manifests": rendered, "kustomize": of_kustomize, "helm": of_helm}


def unpinned(pod: Manifest) -> None:
    del pod["metadata"]["annotations"][REQUIRED_SCC]


def component_of(pod: Manifest) -> str:
    component: str = pod["metadata"]["labels"]["app.kubernetes.io/component"]
    return component


class Cluster:
    """An OpenShift cluster in which Overbook's objects were applied."""

    def __init__(self, objects: list[Manifest]) -> None:
        self.sccs = [*SHIPPED, *(each for each in objects if each["kind"] == "SecurityContextConstraints")]
        self.pods = [
            (each["spec"]["template"], each["metadata"]["namespace"])
            for each in objects
            if "template" in each.get("spec", {})
        ]

    def pod(self, component: str) -> tuple[Manifest, str]:
        """Return the first pod of a component, with its namespace."""
        return next(each for each in self.pods if component_of(each[0]) == component)

    def create(self, component: str, change: Any = None, **choices: Any) -> Admitted:
        """Create a component's pod, after a change of it."""
        pod, name = copy.deepcopy(self.pod(component))
        if change:
            change(pod)
        granted = choices.pop("granted", FOR_EVERYBODY)
        return admit(pod, namespace(name), choices.pop("sccs", self.sccs), granted)


@pytest.fixture(scope="module", params=FLAVOURS)
def objects(request: pytest.FixtureRequest) -> list[Manifest]:
    return FLAVOURS[request.param]()


@pytest.fixture
def openshift(objects: list[Manifest]) -> Cluster:
    return Cluster(objects)


def test_openshift_admits_every_rendered_pod(openshift: Cluster) -> None:
    by_component: dict[str, set[str]] = {}
    for pod, name in openshift.pods:
        admitted = admit(pod, namespace(name), openshift.sccs, FOR_EVERYBODY)
        by_component.setdefault(component_of(pod), set()).add(admitted.scc)
    assert by_component.keys() >= {"agent", "controller", "webhook"}
    for component, sccs in by_component.items():
        assert sccs == {"overbook-agent" if component == "agent" else "restricted-v2"}, component


@pytest.mark.parametrize("component", ["controller", "webhook"])
def test_a_restricted_pod_runs_as_its_namespaces_user(openshift: Cluster, component: str) -> None:
    spec = openshift.create(component).pod["spec"]
    assert spec["containers"][0]["securityContext"]["runAsUser"] == FIRST_UID
    assert spec["securityContext"]["fsGroup"] == FIRST_UID


def test_the_agents_process_is_not_changed_by_admission(openshift: Cluster) -> None:
    before = openshift.pod("agent")[0]["spec"]
    after = openshift.create("agent").pod["spec"]
    assert after["containers"] == before["containers"]
    added = {"fsGroup", "supplementalGroups", "seLinuxOptions", "seccompProfile"}
    assert after["securityContext"].keys() == added


def test_the_required_constraint_wins_over_a_higher_priority(openshift: Cluster) -> None:
    """A product that grants a constraint of its own to every account changes no pod of Overbook."""
    (privileged,) = [each for each in SHIPPED if each["metadata"]["name"] == "privileged"]
    first = {**privileged, "metadata": {"name": "theirs"}, "priority": 20}
    sccs, granted = [*openshift.sccs, first], [*FOR_EVERYBODY, "theirs"]
    assert openshift.create("controller", sccs=sccs, granted=granted).scc == "restricted-v2"
    assert openshift.create("agent", sccs=sccs, granted=granted).scc == "overbook-agent"
    assert openshift.create("controller", unpinned, sccs=sccs, granted=granted).scc == "theirs"


def at_container(field: str, value: Any) -> Any:
    def change(pod: Manifest) -> None:
        pod["spec"]["containers"][0]["securityContext"][field] = value

    return change


def at_pod(field: str, value: Any) -> Any:
    def change(pod: Manifest) -> None:
        pod["spec"].setdefault("securityContext", {})[field] = value

    return change


def in_spec(field: str, value: Any) -> Any:
    def change(pod: Manifest) -> None:
        pod["spec"][field] = value

    return change


REFUSED = {
    "a fixed user": (
        "controller",
        at_pod("runAsUser", 65532),
        r"65532: must be in the ranges: \[1000700000, ",
    ),
    "a fixed user of a container": ("webhook", at_container("runAsUser", 65532), "must be in the ranges"),
    "root": ("controller", at_container("runAsUser", 0), "must be in the ranges"),
    "a group": ("controller", at_pod("fsGroup", 65532), "65532 is not an allowed group"),
    "a level": ("webhook", at_pod("seLinuxOptions", {"level": "s0:c1,c2"}), "must be 's0:c26,c15'"),
    "no seccomp": (
        "webhook",
        at_pod("seccompProfile", {"type": "Unconfined"}),
        "unconfined is not an allowed",
    ),
    "a host's folder": (
        *("webhook", in_spec("volumes", [{"name": "proc", "hostPath": {"path": "/proc"}}])),
        "hostPath is not allowed",
    ),
    "a capability": ("controller", at_container("capabilities", {"add": ["KILL"]}), "KILL may not be added"),
    "another user": ("agent", at_container("runAsUser", 1000), "must be 0"),
    "another type": ("agent", at_container("seLinuxOptions", {"type": "super_t"}), "must be 'spc_t'"),
    "no level": ("agent", at_container("seLinuxOptions", {"type": "spc_t"}), "must be 's0'"),
    "more capabilities": (
        *("agent", at_container("capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]})),
        "SYS_ADMIN may not be added",
    ),
    "privileged": ("agent", at_container("privileged", True), "privileged is not allowed"),
    "host network": ("agent", in_spec("hostNetwork", True), "hostNetwork is not allowed"),
    "host IPC": ("agent", in_spec("hostIPC", True), "hostIPC is not allowed"),
    "a writable root": ("agent", at_container("readOnlyRootFilesystem", False), "must be true"),
    "a sysctl": ("agent", at_pod("sysctls", [{"name": "kernel.msgmax"}]), "kernel.msgmax is not allowed"),
    "a Secret": ("agent", in_spec("volumes", [{"name": "keys", "secret": {}}]), "secret is not allowed"),
    "another account": ("agent", in_spec("serviceAccountName", "default"), "not usable by"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_openshift_refuses_a_pod_that_has_more(what: str) -> None:
    component, change, reason = REFUSED[what]
    with pytest.raises(RefusedError, match=reason):
        Cluster(rendered()).create(component, change)


def test_openshift_refuses_the_agent_without_its_constraints() -> None:
    with pytest.raises(RefusedError, match='failed to retrieve the required SCC "overbook-agent"'):
        Cluster(rendered()).create("agent", sccs=SHIPPED)


def test_no_constraint_for_everybody_admits_the_agent() -> None:
    with pytest.raises(RefusedError, match="hostPID is not allowed"):
        Cluster(rendered()).create("agent", unpinned, sccs=SHIPPED)


def test_the_agents_constraints_are_the_narrowest_that_admit_it() -> None:
    """Each field is tightened by one step: then the agent is refused."""
    (own,) = [each for each in rendered() if each["kind"] == "SecurityContextConstraints"]
    tighter: list[Manifest] = [
        *({**own, field: False} for field in ("allowHostDirVolumePlugin", "allowHostPID")),
        *({**own, "volumes": [v for v in own["volumes"] if v != left_out]} for left_out in own["volumes"]),
        *(
            {**own, "allowedCapabilities": [c for c in own["allowedCapabilities"] if c != left_out]}
            for left_out in own["allowedCapabilities"]
        ),
        {**own, "runAsUser": {"type": "MustRunAsRange"}},
        {**own, "seLinuxContext": {"type": "MustRunAs"}},
        {**own, "users": []},
    ]
    for scc in tighter:
        with pytest.raises(RefusedError):
            Cluster(rendered()).create("agent", sccs=[*SHIPPED, scc])
    never = ("allowHostIPC", "allowHostNetwork", "allowHostPorts", "allowPrivilegedContainer")
    assert not any(own[field] for field in (*never, "allowPrivilegeEscalation"))


def test_the_agents_constraints_fit_openshifts_schema(objects: list[Manifest]) -> None:
    (own,) = [each for each in objects if each["kind"] == "SecurityContextConstraints"]
    assert own.keys() >= SCHEMA_REQUIRES
    assert own.keys() <= SCHEMA_KNOWS
    assert None not in own.values()


def test_constraints_are_tried_in_openshifts_order() -> None:
    named = sorted(SHIPPED, key=restrictiveness)
    assert [each["metadata"]["name"] for each in named] == [
        *("restricted-v2", "restricted", "nonroot-v2", "nonroot", "anyuid"),
        *("hostmount-anyuid", "hostaccess", "privileged"),
    ]
