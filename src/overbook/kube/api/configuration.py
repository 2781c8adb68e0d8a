"""The API server's address and the client's credentials, as a kubeconfig file or a pod's files give them."""

from typing import Final

import msgspec

from overbook.core.errors import InvalidInput

SERVICE_ACCOUNT_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_KUBECONFIG: Final = "~/.kube/config"
_MOST_FILE_BYTES: Final = 1 << 20


class ExecPlugin(msgspec.Struct, frozen=True):
    """A program that prints credentials (``client.authentication.k8s.io``).

    Attributes:
        command: the program: a path if it has a slash, else a name that is looked up in PATH.
        args: the program's arguments.
        env: environment variables in addition to those of this process.
        api_version: the API version of its output.
        interactive_mode: ``Never``, ``IfAvailable`` or ``Always``: whether it may ask a person.
        provide_cluster_info: whether the program gets the cluster's address and certificates.
        install_hint: printed if the program is missing.
        cluster_extension: the extension of the kubeconfig's cluster that is meant for the program.
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
    """An API server's address and credentials. The ``repr`` shows no secret.

    Attributes:
        server: ``https://host:port``, perhaps with a path that comes before the API's own.
        source: the origin of these settings, such as ``/root/.kube/config, context admin``, for messages.
        ca_file: certificate authorities, PEM; the system's if neither this nor ``ca_data`` is given.
        ca_data: certificate authorities as PEM text.
        client_certificate_file: PEM.
        client_key_file: PEM.
        client_certificate_data: PEM.
        client_key_data: PEM.
        token: a bearer token.
        token_file: a file with a bearer token, read again when it changes.
        exec_plugin: a program that prints a token or a client certificate.
        tls_server_name: the name that the server's certificate must have; empty: the server's host.
        insecure_skip_tls_verify: do not check the server's certificate.
        namespace: the namespace of the context, or of the pod.
        impersonate_user: act as this user.
        impersonate_uid: act with this UID.
        impersonate_groups: act with these groups.
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

    def __rich_repr__(self) -> list[tuple[str, str]]:  # used by rich instead of repr
        return [("server", self.server), ("source", self.source)]


class Address(msgspec.Struct, frozen=True, gc=False):
    """The parts of a server's URL."""

    secure: bool
    host: str
    port: int
    prefix: str

    @property
    def authority(self) -> str:
        """``host:port``, as in the Host header field."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def split_server(server: str, where: str) -> Address:
    """Split ``https://host:port/prefix`` into its parts.

    Raises:
        InvalidInput: the text is no such URL.
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
    """The text of a small file.

    Raises:
        InvalidInput: the file is larger than 1 MiB, or no text.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(_MOST_FILE_BYTES + 1)
    if len(data) > _MOST_FILE_BYTES:
        raise InvalidInput(path, "more than 1 MiB", "a small text file")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidInput(path, "(not shown)", "UTF-8 text") from None
