"""The configuration of the API server: from a kubeconfig file, or from a pod's service account."""

import os
from collections.abc import Mapping

from overbook.core.errors import InvalidInput
from overbook.kube.api.configuration import (
    DEFAULT_KUBECONFIG,
    SERVICE_ACCOUNT_FOLDER,
    ClusterConfig,
    read_small_file,
    split_server,
)


def load_config(
    kubeconfig: str | None = None,
    context: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> ClusterConfig:
    """Load the configuration that applies to this process.

    The first of these counts: the given file, ``$KUBECONFIG``, the service account's files (in a pod),
    ``~/.kube/config``.

    Args:
        kubeconfig: a file.
        context: a context of the file; default: the current one.
        environment: this process's environment variables.

    Raises:
        InvalidInput: a file is malformed or incomplete; the text names file, context and field.
        OSError: a file cannot be read.
    """
    paths: list[str] = []
    if kubeconfig is not None:
        paths = [kubeconfig]
    elif listed := environment.get("KUBECONFIG", ""):
        paths = [path for path in listed.split(":") if path and os.path.exists(path)]
        if not paths:
            raise InvalidInput("KUBECONFIG", listed, "at least one existing file")
    elif environment.get("KUBERNETES_SERVICE_HOST") and context is None:
        return in_cluster_config(environment)
    else:
        home = environment.get("HOME", "")
        default = DEFAULT_KUBECONFIG.replace("~", home, 1)
        if not home or not os.path.exists(default):
            raise InvalidInput(
                "kubeconfig", default, "an existing file; or --kubeconfig, KUBECONFIG, or to run in a pod"
            )
        paths = [default]
    from overbook.kube.api.kubeconfig import read_kubeconfig  # noqa: PLC0415 - YAML is not for pods

    return read_kubeconfig(paths, context)


def in_cluster_config(
    environment: Mapping[str, str] = os.environ, folder: str = SERVICE_ACCOUNT_FOLDER
) -> ClusterConfig:
    """The configuration of a pod with a service account.

    Args:
        environment: the pod's environment variables.
        folder: the folder with the service account's files.

    Raises:
        InvalidInput: a variable or a file is missing or empty.
        OSError: a file cannot be read.
    """
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise InvalidInput("KUBERNETES_SERVICE_HOST", host, "the address that the kubelet sets in every pod")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    split_server(server, "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT")
    token_file = f"{folder}/token"
    for path in (token_file, f"{folder}/ca.crt"):
        if not os.path.exists(path):
            raise InvalidInput(
                path, "missing", "the service account's file; is automountServiceAccountToken false?"
            )
    namespace = "default"
    if os.path.exists(f"{folder}/namespace"):
        namespace = read_small_file(f"{folder}/namespace").strip() or namespace
    return ClusterConfig(
        server=server,
        source=f"service account in {folder}",
        ca_file=f"{folder}/ca.crt",
        token_file=token_file,
        namespace=namespace,
    )
