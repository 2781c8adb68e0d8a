"""A kubeconfig for one user of one cluster."""

import base64
import os
from collections.abc import Mapping

import msgspec

from overbook_sandbox.machine.cache import write_whole


def write_kubeconfig(path: str, *, server: str, authority_pem: bytes, user: Mapping[str, str]) -> None:
    """Write a kubeconfig with mode 0600, in JSON, which is also YAML.

    Args:
        path: The file's path.
        server: The API server's URL.
        authority_pem: The server's certificate authority.
        user: The user's entry: `token`, or `client-certificate` and `client-key` with paths.
    """
    authority = base64.b64encode(authority_pem).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "sandbox", "cluster": {"server": server, "certificate-authority-data": authority}}
        ],
        "users": [{"name": "user", "user": dict(user)}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "user"}}],
        "current-context": "sandbox",
    }
    write_whole(os.path.abspath(path), msgspec.json.encode(config))
