"""kubeconfig files: several are merged as kubectl does, and one context is used. Every error names its place.

Error messages never show values, because a malformed value may be a part of a key. Source:
``k8s.io/client-go/tools/clientcmd/api/v1``.
"""

import base64
import binascii
import os
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.kube.api.configuration import ClusterConfig, ExecPlugin, split_server
from overbook.kube.files.sources import read_source
from overbook.kube.files.yaml_documents import yaml_documents

HIDDEN: Final = "(not shown)"
EXEC_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
INTERACTIVE_MODES: Final = ("Never", "IfAvailable", "Always")
_EXEC_EXTENSION: Final = "client.authentication.k8s.io/exec"


class _Fields(msgspec.Struct, frozen=True, rename="kebab"):
    """A struct whose fields are named as in the file."""


class _NamedExtension(_Fields, frozen=True):
    name: str
    extension: Any = None


class _Cluster(_Fields, frozen=True):
    server: str = ""
    tls_server_name: str | None = None
    insecure_skip_tls_verify: bool | None = None
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    proxy_url: str | None = None
    extensions: tuple[_NamedExtension, ...] | None = None


class _Variable(msgspec.Struct, frozen=True):
    name: str
    value: str


class _Exec(msgspec.Struct, frozen=True, rename="camel"):
    command: str = ""
    args: tuple[str, ...] | None = None
    env: tuple[_Variable, ...] | None = None
    api_version: str = ""
    interactive_mode: str | None = None
    provide_cluster_info: bool | None = None
    install_hint: str | None = None


class _User(_Fields, frozen=True):
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    token: str | None = None
    token_file: str | None = msgspec.field(default=None, name="tokenFile")
    username: str | None = None
    password: str | None = None
    auth_provider: Any = None
    exec: _Exec | None = None
    as_: str | None = msgspec.field(default=None, name="as")
    as_uid: str | None = None
    as_groups: tuple[str, ...] | None = None
    as_user_extra: Any = None


class _Context(_Fields, frozen=True):
    cluster: str = ""
    user: str = ""
    namespace: str | None = None


class _NamedCluster(_Fields, frozen=True):
    name: str
    cluster: _Cluster | None = None


class _NamedUser(_Fields, frozen=True):
    name: str
    user: _User | None = None


class _NamedContext(_Fields, frozen=True):
    name: str
    context: _Context | None = None


class _File(_Fields, frozen=True):
    current_context: str | None = None
    clusters: tuple[_NamedCluster, ...] | None = None
    users: tuple[_NamedUser, ...] | None = None
    contexts: tuple[_NamedContext, ...] | None = None


class _Merged(msgspec.Struct):
    """Several files merged; each entry has its file, because paths are relative to that."""

    current: str = ""
    clusters: dict[str, tuple[str, _Cluster]] = {}
    users: dict[str, tuple[str, _User]] = {}
    contexts: dict[str, tuple[str, _Context]] = {}


def read_kubeconfig(paths: Sequence[str], context: str | None = None) -> ClusterConfig:
    """Read one context of the merged files; of several values the first file's wins.

    Args:
        paths: the files.
        context: a context's name; default: the files' ``current-context``.

    Raises:
        InvalidInput: a file is malformed, or the context is missing or incomplete.
        OSError: a file cannot be read.
    """
    merged = _Merged()
    for path in paths:
        _merge(merged, path, _read(path))
    files = ":".join(paths)
    name = merged.current if context is None else context
    if not name:
        raise InvalidInput(f"{files}: current-context", "", _one_of("a context", merged.contexts))
    if name not in merged.contexts:
        raise InvalidInput(f"{files}: context", name, _one_of("a context", merged.contexts))
    file, chosen = merged.contexts[name]
    source = f"{file}, context {name}"
    if chosen.cluster not in merged.clusters:
        raise InvalidInput(f"{source}: cluster", chosen.cluster, _one_of("a cluster", merged.clusters))
    if chosen.user and chosen.user not in merged.users:
        raise InvalidInput(f"{source}: user", chosen.user, _one_of("a user", merged.users))
    fields = _cluster_fields(*merged.clusters[chosen.cluster], f"{source}, cluster {chosen.cluster}")
    if chosen.user:
        user_file, user = merged.users[chosen.user]
        cluster = merged.clusters[chosen.cluster][1]
        fields |= _user_fields(user_file, user, cluster, f"{source}, user {chosen.user}")
    config = ClusterConfig(**fields, source=source, namespace=chosen.namespace or "default")
    secret = config.token or config.token_file or config.exec_plugin
    if secret and config.server.startswith("http:"):
        raise InvalidInput(f"{source}: server", config.server, "https: credentials are not sent in the clear")
    return config


def _read(path: str) -> _File:
    source = read_source(path)
    try:
        documents = [value for _, _, value in yaml_documents(source.data.decode(), path)]
    except UnicodeDecodeError:
        raise InvalidInput(path, HIDDEN, "UTF-8 text") from None
    except InvalidInput as error:
        raise InvalidInput(error.where, HIDDEN, "YAML") from None
    if not documents:
        return _File()
    if len(documents) > 1:
        raise InvalidInput(path, f"{len(documents)} documents", "one")
    try:
        return msgspec.convert(documents[0], _File, strict=True)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".") or "(top level)"
        raise InvalidInput(f"{path}: {field}", HIDDEN, f"another type: {problem}") from None


def _merge(merged: _Merged, path: str, file: _File) -> None:
    merged.current = merged.current or file.current_context or ""
    for cluster in file.clusters or ():
        merged.clusters.setdefault(cluster.name, (path, cluster.cluster or _Cluster()))
    for user in file.users or ():
        merged.users.setdefault(user.name, (path, user.user or _User()))
    for context in file.contexts or ():
        merged.contexts.setdefault(context.name, (path, context.context or _Context()))


def _cluster_fields(file: str, cluster: _Cluster, where: str) -> dict[str, Any]:
    split_server(cluster.server, f"{where}: server")
    if cluster.proxy_url:
        raise InvalidInput(
            f"{where}: proxy-url", HIDDEN, "none: Overbook speaks to the API server directly, without a proxy"
        )
    insecure = bool(cluster.insecure_skip_tls_verify)
    if insecure and (cluster.certificate_authority or cluster.certificate_authority_data):
        raise InvalidInput(
            f"{where}: insecure-skip-tls-verify", True, "false, or no certificate-authority beside it"
        )
    return {
        "server": cluster.server,
        "tls_server_name": cluster.tls_server_name or "",
        "insecure_skip_tls_verify": insecure,
        "ca_data": _pem(cluster.certificate_authority_data, f"{where}: certificate-authority-data"),
        "ca_file": ""
        if cluster.certificate_authority_data
        else _path(file, cluster.certificate_authority, f"{where}: certificate-authority"),
    }


def _user_fields(file: str, user: _User, cluster: _Cluster, where: str) -> dict[str, Any]:
    if user.username or user.password:
        raise InvalidInput(
            f"{where}: username", HIDDEN, "a token or a certificate: Kubernetes has no passwords"
        )
    if user.auth_provider is not None:
        raise InvalidInput(f"{where}: auth-provider", HIDDEN, "exec, which has taken its place")
    if user.as_user_extra:
        raise InvalidInput(f"{where}: as-user-extra", HIDDEN, "none: only as, as-uid and as-groups are sent")
    if (user.as_uid or user.as_groups) and not user.as_:
        raise InvalidInput(f"{where}: as", "", "a user beside as-uid and as-groups")
    certificate = bool(user.client_certificate or user.client_certificate_data)
    if certificate is not bool(user.client_key or user.client_key_data):
        missing = "client-key" if certificate else "client-certificate"
        raise InvalidInput(f"{where}: {missing}", "", "both client-certificate and client-key, or neither")
    return {
        "client_certificate_data": _pem(user.client_certificate_data, f"{where}: client-certificate-data"),
        "client_key_data": _pem(user.client_key_data, f"{where}: client-key-data"),
        "client_certificate_file": ""
        if user.client_certificate_data
        else _path(file, user.client_certificate, f"{where}: client-certificate"),
        "client_key_file": ""
        if user.client_key_data
        else _path(file, user.client_key, f"{where}: client-key"),
        "token": user.token or "",
        # client-go prefers the file: it can be renewed.
        "token_file": _path(file, user.token_file, f"{where}: tokenFile"),
        "exec_plugin": None
        if user.exec is None
        else _exec_plugin(file, user.exec, cluster, f"{where}: exec"),
        "impersonate_user": user.as_ or "",
        "impersonate_uid": user.as_uid or "",
        "impersonate_groups": user.as_groups or (),
    }


def _exec_plugin(file: str, plugin: _Exec, cluster: _Cluster, where: str) -> ExecPlugin:
    if not plugin.command:
        raise InvalidInput(f"{where}.command", "", "a program")
    if plugin.api_version not in EXEC_VERSIONS:
        raise InvalidInput(f"{where}.apiVersion", plugin.api_version, " or ".join(EXEC_VERSIONS))
    mode = plugin.interactive_mode
    if mode is None and plugin.api_version == EXEC_VERSIONS[1]:
        mode = "IfAvailable"  # v1 has no default
    if mode not in INTERACTIVE_MODES:
        raise InvalidInput(f"{where}.interactiveMode", mode, ", ".join(INTERACTIVE_MODES))
    command = plugin.command
    if "/" in command and not os.path.isabs(command):
        command = os.path.join(os.path.dirname(os.path.abspath(file)), command)
    extension = next((e.extension for e in cluster.extensions or () if e.name == _EXEC_EXTENSION), None)
    return ExecPlugin(
        command=command,
        args=plugin.args or (),
        env=tuple((variable.name, variable.value) for variable in plugin.env or ()),
        api_version=plugin.api_version,
        interactive_mode=mode,
        provide_cluster_info=bool(plugin.provide_cluster_info),
        install_hint=(plugin.install_hint or "")[:500],
        cluster_extension=msgspec.Raw(msgspec.json.encode(extension)),
    )


def _pem(data: str | None, where: str) -> str:
    if not data:
        return ""
    try:
        text = base64.b64decode("".join(data.split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise InvalidInput(where, HIDDEN, "PEM text in base64") from None
    if "-----BEGIN " not in text:
        raise InvalidInput(where, HIDDEN, "PEM text in base64; this holds no -----BEGIN")
    return text


def _path(file: str, path: str | None, where: str) -> str:
    """The absolute path; a relative path in a kubeconfig starts at the folder of its file."""
    if not path:
        return ""
    absolute = os.path.join(os.path.dirname(os.path.abspath(file)), path)
    if not os.path.isfile(absolute):
        raise InvalidInput(where, absolute, "a file that exists")
    return absolute


def _one_of(what: str, known: dict[str, Any]) -> str:
    names = ", ".join(sorted(known)[:10])
    return f"{what}: {names}" if names else f"{what}; the files have none"
