from typing import Any

import pytest

from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubevirt.vm import is_virtual_machine_pod
from overbook.deploy.installation import Installation
from overbook.deploy.vm_identity import VM_IDENTITY, vm_identity
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.as_user import MERGE, OPERATIONS, UserClient
from tests.cluster.conftest import make_namespace
from tests.cluster.installing import apply_manifests
from tests.waiting import wait_for

REFUSED = "only KubeVirt (an account kubevirt-controller that may update every VirtualMachineInstance)"
RBAC = "rbac.authorization.k8s.io"
LISTED = "system:serviceaccount:virtual:machines"
PODS = {
    "apiGroups": [""],
    "resources": ["pods"],
    "verbs": ["get", "list", "watch", "create", "update", "delete"],
}
INSTANCES = {"apiGroups": ["kubevirt.io"], "resources": ["*"], "verbs": ["*"]}
"""As in the role of KubeVirt's controller."""


def granted(namespace: str, account: str, rules: list[dict[str, Any]], *, everywhere: bool) -> list[Any]:
    """Return an account with these rights in its namespace or in all, and the right to create pods in all."""
    name, kind = f"test-{namespace}-{account}", "ClusterRole"
    about = {"name": account, "namespace": namespace}
    subject = {"kind": "ServiceAccount", **about}

    def bound(kind_of_binding: str, role: str, **where: str) -> dict[str, Any]:
        found = {"apiVersion": f"{RBAC}/v1", "kind": kind_of_binding, "metadata": {"name": role, **where}}
        return {**found, "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role}, "subjects": [subject]}

    def role(role: str, given: list[dict[str, Any]]) -> dict[str, Any]:
        return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": role}, "rules": given}

    one = bound("ClusterRoleBinding", name) if everywhere else bound("RoleBinding", name, namespace=namespace)
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about},
        role(name, rules),
        one,
        role(f"{name}-pods", [PODS]),
        bound("ClusterRoleBinding", f"{name}-pods"),
    ]


def owner(api_version: str = "kubevirt.io/v1", *, controller: bool = True) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": "VirtualMachineInstance",
        "name": "database",
        "uid": "5e9c0c1e-0000-4000-8000-000000000001",
        "controller": controller,
    }


def pod(name: str, *owners: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "ownerReferences": list(owners)},
        "spec": {
            "containers": [{"name": "compute", "image": "none"}],
            "schedulingGates": [{"name": "example.com/never"}],
        },
    }


def is_vm(answer: dict[str, Any]) -> bool:
    return is_virtual_machine_pod(convert(answer, Pod, "Pod"))


@pytest.fixture(scope="module")
def kubevirt(breakable_cluster: ControlPlane) -> UserClient:
    """KubeVirt is in an unusual namespace of a cluster of its own, which has the policy."""
    cluster = breakable_cluster
    controller = granted("virtualization", "kubevirt-controller", [INSTANCES], everywhere=True)
    apply_manifests(cluster, [*controller, *vm_identity(Installation(vm_identity_accounts=f"['{LISTED}']"))])
    admin = UserClient(cluster.kubeconfig)
    path = "/api/v1/namespaces/default/pods"
    wait_for(
        lambda: REFUSED in admin.refusal("POST", path, pod("probe", owner()), dryRun="All"),
        "the policy is in force",
    )
    return of(cluster, "virtualization", "kubevirt-controller")


def of(cluster: ControlPlane, namespace: str, account: str) -> UserClient:
    return UserClient.with_token(cluster, cluster.token(namespace, account), f"{namespace}-{account}")


@pytest.fixture
def admin(breakable_cluster: ControlPlane, kubevirt: UserClient) -> UserClient:
    """An administrator has every right in the cluster, and the policy holds for administrators, too."""
    assert kubevirt
    return UserClient(breakable_cluster.kubeconfig)


@pytest.fixture
def pods(breakable_cluster: ControlPlane) -> str:
    return f"/api/v1/namespaces/{make_namespace(breakable_cluster)}/pods"


def test_kubevirt_may_create_vm_pods(kubevirt: UserClient, pods: str) -> None:
    assert is_vm(kubevirt.ask("POST", pods, pod("guest", owner())))


@pytest.mark.usefixtures("kubevirt")
@pytest.mark.parametrize(
    ("namespace", "account", "everywhere"),
    [
        # KubeVirt's usual namespace, which a tenant may take where KubeVirt is elsewhere.
        ("kubevirt", "kubevirt-controller", False),
        # A program that applies what tenants wrote.
        ("gitops", "application-controller", True),
    ],
    ids=["same name", "same rights"],
)
def test_neither_the_name_nor_the_right_alone_is_kubevirt(
    breakable_cluster: ControlPlane, pods: str, namespace: str, account: str, everywhere: bool
) -> None:
    apply_manifests(breakable_cluster, granted(namespace, account, [INSTANCES], everywhere=everywhere))
    user = of(breakable_cluster, namespace, account)
    assert REFUSED in user.refusal("POST", pods, pod("guest", owner()))
    assert user.refusal("POST", pods, pod("other")) == ""


@pytest.mark.usefixtures("kubevirt")
def test_an_account_of_the_list_may_create_vm_pods(breakable_cluster: ControlPlane, pods: str) -> None:
    apply_manifests(breakable_cluster, granted("virtual", "machines", [], everywhere=True))
    assert is_vm(of(breakable_cluster, "virtual", "machines").ask("POST", pods, pod("guest", owner())))


@pytest.mark.parametrize("version", ["kubevirt.io/v1", "kubevirt.io/v1alpha3"])
def test_other_users_may_not_create_vm_pods(admin: UserClient, pods: str, version: str) -> None:
    said = admin.refusal("POST", pods, pod("guest", owner(version)))
    assert said.startswith("403 ")
    assert REFUSED in said
    assert said.endswith("may make pods of a VirtualMachineInstance, not kubernetes-admin")


def test_a_pod_cannot_become_a_vm_pod(admin: UserClient, pods: str) -> None:
    admin.ask("POST", pods, pod("guest"))
    change = {"metadata": {"ownerReferences": [owner()]}}
    assert REFUSED in admin.refusal("PATCH", f"{pods}/guest", change, MERGE)
    # The API server keeps owners out of what a status may change.
    admin.ask("PATCH", f"{pods}/guest/status", change, MERGE)
    assert not is_vm(admin.ask("GET", f"{pods}/guest"))


def test_an_owner_cannot_become_the_controller(admin: UserClient, kubevirt: UserClient, pods: str) -> None:
    kubevirt.ask("POST", pods, pod("guest", owner(controller=False)))
    change = [{"op": "replace", "path": "/metadata/ownerReferences/0/controller", "value": True}]
    assert REFUSED in admin.refusal("PATCH", f"{pods}/guest", change, OPERATIONS)


def test_all_else_of_a_vm_pod_may_be_changed(admin: UserClient, kubevirt: UserClient, pods: str) -> None:
    kubevirt.ask("POST", pods, pod("guest", owner()))
    labelled = admin.ask("PATCH", f"{pods}/guest", {"metadata": {"labels": {"a": "b"}}}, MERGE)
    assert is_vm(labelled)
    orphan = admin.ask("PATCH", f"{pods}/guest", {"metadata": {"ownerReferences": None}}, MERGE)
    assert not is_vm(orphan)


def test_pods_of_other_owners_may_be_created(admin: UserClient, pods: str) -> None:
    assert not is_vm(admin.ask("POST", pods, pod("other", owner("example.com/v1"))))
    assert not is_vm(admin.ask("POST", pods, pod("another", {**owner(), "kind": "VirtualMachine"})))


@pytest.mark.usefixtures("kubevirt")
def test_the_api_server_finds_no_fault_with_the_policy(admin: UserClient) -> None:
    path = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{VM_IDENTITY}"

    def checked() -> list[Any]:
        status = admin.ask("GET", path).get("status", {})
        return [status["typeChecking"]] if "typeChecking" in status else []

    assert wait_for(checked, "the controller manager has checked the policy's types") == [{}]
