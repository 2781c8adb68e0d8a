import json

import pytest

from overbook_sandbox.cluster.control_plane import ControlPlane, KubectlError

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "guest"},
    "spec": {
        "containers": [{"name": "main", "image": "none", "resources": {"requests": {"memory": "64Mi"}}}]
    },
}


def node(name: str) -> str:
    capacity = {"cpu": "4", "memory": "1Gi", "pods": "10"}
    status = {
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": "a test says so"}],
    }
    spec = {"unschedulable": True}  # other tests' pods have nothing to do here
    manifest = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": spec,
        "status": status,
    }
    return json.dumps(manifest)


def test_admission_gives_a_pod_what_production_would(cluster: ControlPlane, namespace: str) -> None:
    cluster.kubectl("create", "--namespace", namespace, "-f", "-", stdin=json.dumps(POD))
    pod = json.loads(cluster.kubectl("get", "pod", "guest", "--namespace", namespace, "--output=json"))
    assert pod["spec"]["serviceAccountName"] == "default"
    assert pod["status"]["qosClass"] == "Burstable"
    assert {each["key"] for each in pod["spec"]["tolerations"]} == {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    }


def test_a_user_may_do_what_roles_say_and_nothing_else(cluster: ControlPlane, namespace: str) -> None:
    person = cluster.user_kubeconfig("ada", ["operators"])
    with pytest.raises(KubectlError, match='User "ada" cannot list resource "pods"'):
        cluster.kubectl("get", "pods", "--namespace", namespace, kubeconfig=person)
    cluster.kubectl(
        *(
            "create",
            "rolebinding",
            "look",
            "--clusterrole=view",
            "--group=operators",
            "--namespace",
            namespace,
        )
    )
    listed = ("get", "pods", "--namespace", namespace, "--output=name")
    assert cluster.kubectl(*listed, kubeconfig=person) == ""


def test_a_bound_token_names_its_pod_and_node(cluster: ControlPlane, namespace: str) -> None:
    pod = {**POD, "spec": {**POD["spec"], "nodeName": "worker-of-token"}}  # type: ignore[dict-item] # JSON
    cluster.kubectl("create", "-f", "-", stdin=node("worker-of-token"))
    cluster.kubectl("create", "--namespace", namespace, "-f", "-", stdin=json.dumps(pod))
    token = cluster.token(namespace, "default", bound_pod="guest")
    answer = cluster.kubectl("auth", "whoami", "--output=json", kubeconfig=cluster.kubeconfig_for(token))
    user = json.loads(answer)["status"]["userInfo"]
    assert user["username"] == f"system:serviceaccount:{namespace}:default"
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["guest"]
    assert user["extra"]["authentication.kubernetes.io/node-name"] == ["worker-of-token"]
    cluster.kubectl("delete", "node", "worker-of-token")


def test_a_node_may_change_itself_and_no_other(cluster: ControlPlane) -> None:
    cluster.kubectl("create", "-f", "-", stdin=node("one"))
    cluster.kubectl("create", "-f", "-", stdin=node("two"))
    kubelet = cluster.user_kubeconfig("system:node:one", ["system:nodes"])
    cluster.kubectl("label", "node", "one", "colour=blue", kubeconfig=kubelet)
    with pytest.raises(KubectlError, match="node two"):
        cluster.kubectl("label", "node", "two", "colour=blue", kubeconfig=kubelet)
    cluster.kubectl("delete", "node", "one", "two")


def test_a_killed_api_server_comes_back_with_its_objects(breakable_cluster: ControlPlane) -> None:
    breakable_cluster.kubectl("create", "namespace", "kept")
    server = breakable_cluster.server
    breakable_cluster.kill_api_server()
    with pytest.raises(KubectlError, match="refused"):
        breakable_cluster.kubectl("get", "namespace", "kept")
    breakable_cluster.start_api_server()
    assert breakable_cluster.server == server
    assert breakable_cluster.kubectl("get", "namespace", "kept", "--output=name") == "namespace/kept\n"
    breakable_cluster.require_running()
