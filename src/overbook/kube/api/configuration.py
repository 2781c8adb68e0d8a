"""Where the API server is and who we are: from a kubeconfig file, or from the files that every pod has."""

from typing import Final

import msgspec

from overbook.core.errors import InvalidInput

SERVICE_ACCOUNT_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_KUBECONFIG: Final = "~/.kube/config"
_MOST_FILE_BYTES: Final = 1 << 20


class ExecPlugin(msgspec.Struct, frozen=True):
    """A program that gives credentials (``client.authentication.k8s.io``).

    Attributes:
        command: the program; one with a slash is taken as it is, another is looked for in PATH.
        args: its arguments.
        env: variables beside those of this process.
        api_version: the version that it speaks.
        interactive_mode: ``Never``, ``IfAvailable`` or ``Always``: whether it may ask a person.
        provide_cluster_info: whether it is told about the cluster.
        install_hint: what to do where it is missing.
        cluster_extension: what the kubeconfig says for it, beside the cluster.
    """

    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    api_version: str = "client.authentication.k8s.io/v1"
    interactive_mode: str = "IfAvailable"
    provide_cluster_info: bool = False
    install_hint: str = ""
    cluster_extension: msgspec.Raw = msgspec.Raw(b"null")


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """An API server and how to speak to it. Its ``repr`` shows no secret.

    Attributes:
        server: ``https://host:port``, with a path before the API's own where there is one.
        source: where this comes from, such as ``/root/.kube/config, context admin``, for messages.
        ca_file: certificate authorities, PEM; the system's where neither this nor ``ca_data`` is given.
        ca_data: the same as text.
        client_certificate_file: PEM.
        client_key_file: PEM.
        client_certificate_data: PEM.
        client_key_data: PEM.
        token: a bearer token.
        token_file: a file with one, read again when it changes.
        exec_plugin: a program that gives a token or a client certificate.
        tls_server_name: the name that the server's certificate must have; empty: the server's host.
        insecure_skip_tls_verify: believe any server.
        namespace: of the context, or of the pod.
        impersonate_user: act as this user.
        impersonate_uid: with this UID.
        impersonate_groups: and these groups.
    """

    server: str
    source: str = "configuration"
    ca_file: str = ""
    ca_data: str = ""
    client_certificate_file: str = ""
    client_key_file: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = ""
    exec_plugin: ExecPlugin | None = None
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    namespace: str = "default"
    impersonate_user: str = ""
    impersonate_uid: str = ""
    impersonate_groups: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ClusterConfig(server={self.server!r}, source={self.source!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:  # what rich would print instead of repr
        return [("server", self.server), ("source", self.source)]


class Address(msgspec.Struct, frozen=True, gc=False):
    """A server's URL, taken apart."""

    secure: bool
    host: str
    port: int
    prefix: str

    @property
    def authority(self) -> str:
        """``host:port``, as the Host field has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def split_server(server: str, where: str) -> Address:
    """Take ``https://host:port/prefix`` apart.

    Raises:
        InvalidInput: it is no such URL.
    """
    scheme, separator, rest = server.partition("://")
    authority, _, path = rest.partition("/")
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = authority, "443" if scheme == "https" else "80"
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if (
        not separator
        or scheme not in ("https", "http")
        or not host
        or (":" in host) is not bracketed
        or not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536)
        or not (server.isascii() and server.isprintable())
        or any(sign in server for sign in "@?#% ")
    ):
        raise InvalidInput(where, server if "@" not in server else "(with a password)", "https://host:port")
    prefix = f"/{path.strip('/')}" if path.strip("/") else ""
    return Address(scheme == "https", host, int(port), prefix)


def read_small_file(path: str) -> str:
    """A small text file, bounded.

    Raises:
        InvalidInput: it is larger than 1 MiB, or no text.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(_MOST_FILE_BYTES + 1)
    if len(data) > _MOST_FILE_BYTES:
        raise InvalidInput(path, "more than 1 MiB", "a small text file")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidInput(path, "(not shown)", "UTF-8 text") from None
