import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from overbook.kube.api.configuration import ClusterConfig, split_server
from overbook.kube.api.find_cluster import in_cluster_config, load_config

PEM = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n"
SECRET = "a-secret-that-nobody-may-see"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def kubeconfig(**changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443"}}],
        "users": [{"name": "u", "user": {"token": SECRET}}],
        **changes,
    }


def cluster(**fields: Any) -> dict[str, Any]:
    return kubeconfig(clusters=[{"name": "c", "cluster": {"server": "https://10.0.0.1:6443", **fields}}])


def user(**fields: Any) -> dict[str, Any]:
    return kubeconfig(users=[{"name": "u", "user": fields}])


def load(folder: Path, content: Any, context: str | None = None) -> ClusterConfig:
    path = folder / "config"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return load_config(str(path), context, {})


def test_a_context_gives_server_credentials_and_namespace(tmp_path: Path) -> None:
    config = load(tmp_path, cluster(**{"certificate-authority-data": encoded(PEM), "tls-server-name": "api"}))
    assert config.server == "https://10.0.0.1:6443"
    assert config.source == f"{tmp_path}/config, context here"
    assert (config.namespace, config.token, config.ca_data) == ("n", SECRET, PEM)
    assert config.tls_server_name == "api"
    assert SECRET not in repr(config)
    assert SECRET not in f"{config}"


def test_handwritten_yaml_is_read(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
# for the tests
current-context: a
contexts:
- {name: a, context: {cluster: c, user: u}}
clusters:
- cluster:
    insecure-skip-tls-verify: true
    server: https://[fd00::1]/prefix/
  name: c
users:
- name: u
  user:
    as: jane
    as-groups: [developers]
    token: t
""",
    )
    assert (config.insecure_skip_tls_verify, config.namespace) == (True, "default")
    assert (config.impersonate_user, config.impersonate_groups) == ("jane", ("developers",))
    address = split_server(config.server, "server")
    assert (address.host, address.port, address.prefix) == ("fd00::1", 443, "/prefix")
    assert address.authority == "[fd00::1]:443"


def test_the_first_file_that_sets_a_field_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "config", tmp_path / "b" / "config"
    for path in (first, second):
        path.parent.mkdir()
        (path.parent / "ca.pem").write_text(PEM)
    relative = cluster(**{"certificate-authority": "ca.pem"})
    first.write_text(json.dumps({"clusters": relative["clusters"]}))
    other = {"name": "other", "context": {"cluster": "c"}}
    second.write_text(
        json.dumps(
            {
                **kubeconfig(clusters=[{"name": "c", "cluster": {"server": "https://10.0.0.2"}}]),
                "contexts": [*kubeconfig()["contexts"], other],
            }
        )
    )
    environment = {"KUBECONFIG": f"{tmp_path}/none:{first}::{second}"}
    config = load_config(None, None, environment)
    assert (config.server, config.token) == ("https://10.0.0.1:6443", SECRET)
    assert config.ca_file == str(tmp_path / "a" / "ca.pem")
    assert load_config(None, "other", environment).token == ""
    with pytest.raises(InvalidInput, match=r"KUBECONFIG: .*/none.*at least one existing file"):
        load_config(None, None, {"KUBECONFIG": f"{tmp_path}/none"})


def test_kubeconfig_is_looked_for_in_its_places(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(json.dumps(kubeconfig()))
    assert load_config(environment={"HOME": str(tmp_path)}).token == SECRET
    with pytest.raises(InvalidInput, match=r"--kubeconfig, KUBECONFIG, or to run in a pod"):
        load_config(environment={"HOME": str(tmp_path / "nowhere")})
    with pytest.raises(OSError, match="absent"):
        load_config(str(tmp_path / "absent"))


def test_configuration_in_a_pod_is_its_service_account(tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(InvalidInput, match="automountServiceAccountToken"):
        in_cluster_config(environment, str(tmp_path))
    for name, text in (("token", "t\n"), ("ca.crt", PEM), ("namespace", "overbook\n")):
        (tmp_path / name).write_text(text)
    config = in_cluster_config(environment, str(tmp_path))
    assert config.server == "https://[fd00::1]:443"
    assert config.token_file == str(tmp_path / "token")
    assert config.namespace == "overbook"
    with pytest.raises(InvalidInput, match="KUBERNETES_SERVICE_HOST"):
        in_cluster_config({}, str(tmp_path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (kubeconfig(**{"current-context": ""}), "current-context: .*a context: here"),
        (kubeconfig(**{"current-context": "there"}), "context: 'there' .*a context: here"),
        ({}, "current-context: .*the files have none"),
        (kubeconfig(clusters=[]), "context here: cluster: 'c'"),
        (kubeconfig(users=[]), "context here: user: 'u'"),
        (cluster(server=""), "context here, cluster c: server: ''.*expected https://host:port"),
        (cluster(server="https://user:" + SECRET + "@host"), "cluster c: server"),
        (cluster(server="http://10.0.0.1"), "server: .*not sent in the clear"),
        (cluster(**{"proxy-url": "http://" + SECRET}), "proxy-url: .*without a proxy"),
        (
            cluster(**{"insecure-skip-tls-verify": True, "certificate-authority-data": encoded(PEM)}),
            "insecure-skip-tls-verify",
        ),
        (cluster(**{"certificate-authority-data": SECRET}), "certificate-authority-data: .*base64"),
        (cluster(**{"certificate-authority-data": encoded(SECRET)}), "this holds no -----BEGIN"),
        (cluster(**{"certificate-authority": "gone.pem"}), "certificate-authority: .*exists"),
        (user(username="u", password=SECRET), "username: .*Kubernetes has no passwords"),
        (user(**{"auth-provider": {"name": SECRET}}), "auth-provider: .*exec"),
        (user(token=12345678), "users\\[0\\]|users.*token"),
        (user(**{"client-certificate-data": encoded(PEM)}), "client-key: .*both"),
        (user(**{"client-key-data": encoded(SECRET)}), "client-certificate: .*both"),
        (user(token=SECRET, **{"as-groups": ["g"]}), "user u: as:"),
        (user(exec={"command": "x", "apiVersion": "v0"}), "exec.apiVersion: 'v0'"),
        (user(exec={"apiVersion": "client.authentication.k8s.io/v1"}), "exec.command"),
        (
            user(exec={"command": "x", "apiVersion": "client.authentication.k8s.io/v1"}),
            "exec.interactiveMode: None.*Never, IfAvailable, Always",
        ),
        (f"users: [{{name: u, user: {{token: {SECRET}}}", "config, document 1"),
        (f"token: {SECRET}\n\t- x", "config, document 1"),
        (f"[{SECRET}]", "top level"),
        ("a: 1\n---\nb: 2\n", "2 documents"),
    ],
)
def test_an_error_names_its_place_and_no_secret(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        load(tmp_path, content)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        assert encoded(SECRET) not in str(error)
        error = error.__cause__
    assert str(tmp_path / "config") in str(caught.value)


@pytest.mark.parametrize(
    "server",
    [
        "10.0.0.1",
        "ftp://a",
        "https://",
        "https://a:0",
        "https://a:99999",
        "https://a b",
        "https://::1",
        "https://a?b",
    ],
)
def test_an_invalid_server_is_refused(server: str) -> None:
    with pytest.raises(InvalidInput, match="expected https://host:port"):
        split_server(server, "server")


def test_a_plugin_beside_its_kubeconfig_is_found(tmp_path: Path) -> None:
    plugin = {
        "command": "./bin/login",
        "args": ["--now"],
        "env": [{"name": "A", "value": "b"}],
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "installHint": "ask Ada",
    }
    config = load(tmp_path, user(exec=plugin))
    assert config.exec_plugin is not None
    assert os.path.normpath(config.exec_plugin.command) == str(tmp_path / "bin" / "login")
    assert config.exec_plugin.interactive_mode == "IfAvailable"
