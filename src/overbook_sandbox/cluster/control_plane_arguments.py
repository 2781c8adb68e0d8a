"""The command-line arguments of a control plane's programs."""

from typing import Final

from overbook_sandbox.cluster.pki import CertificateFiles, Pki

ISSUER: Final = "https://kubernetes.default.svc"

_SERVICES: Final = "10.96.0.0/16"
API_SERVICE_ADDRESS: Final = "10.96.0.1"
"""The address of the Service `kubernetes`, the first of the range, as pods use it."""

_ETCD: Final = (
    "unix://etcd:1"  # a socket in the working directory: it needs no port, and no other user can read it
)
_ETCD_PEER: Final = "unix://etcd-peer:1"
_ETCD_QUOTA_BYTES: Final = 4 * 1024**3


def etcd() -> list[str]:
    """The arguments of etcd."""
    return [
        "--data-dir=data",
        f"--listen-client-urls={_ETCD}",
        f"--advertise-client-urls={_ETCD}",
        f"--listen-peer-urls={_ETCD_PEER}",
        f"--initial-advertise-peer-urls={_ETCD_PEER}",
        f"--initial-cluster=default={_ETCD_PEER}",
        "--unsafe-no-fsync",  # the data need not survive a power cut
        f"--quota-backend-bytes={_ETCD_QUOTA_BYTES}",
        "--log-level=warn",
    ]


def api_server(pki: Pki, port: int, kubelet_client: CertificateFiles) -> list[str]:
    """The arguments of the API server.

    Args:
        pki: The cluster's authority.
        port: The port on which it listens.
        kubelet_client: The certificate with which it connects to kubelets.
    """
    return [
        *_serving(pki, port),
        f"--etcd-servers={_ETCD}",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",  # nothing could route to a loopback address
        f"--client-ca-file={pki.authority}",
        f"--kubelet-client-certificate={kubelet_client.certificate}",
        f"--kubelet-client-key={kubelet_client.key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki.service_account_public_key}",
        f"--service-account-signing-key-file={pki.service_account_key}",
        f"--service-cluster-ip-range={_SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
    ]


def controller_manager(pki: Pki, port: int, kubeconfig: str) -> list[str]:
    """The arguments of the controller manager.

    Args:
        pki: The cluster's authority.
        port: The port on which it listens.
        kubeconfig: The path of its kubeconfig.
    """
    return [
        *_client(pki, port, kubeconfig),
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki.service_account_key}",
        f"--root-ca-file={pki.authority}",
    ]


def scheduler(pki: Pki, port: int, kubeconfig: str) -> list[str]:
    """The arguments of the scheduler; parameters as for the controller manager."""
    return _client(pki, port, kubeconfig)


def _serving(pki: Pki, port: int) -> list[str]:
    return [
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--permit-port-sharing=true",  # shared with the socket that reserves the port between two starts
        f"--tls-cert-file={pki.server.certificate}",
        f"--tls-private-key-file={pki.server.key}",
        "--profiling=false",
    ]


def _client(pki: Pki, port: int, kubeconfig: str) -> list[str]:
    return [
        *_serving(pki, port),
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--kube-api-qps=200",  # tests fill and empty clusters
        "--kube-api-burst=400",
    ]
