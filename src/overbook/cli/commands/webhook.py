"""``overbook webhook``: override the requests of pods when they are created."""

import argparse

EXAMPLES = """examples:
  overbook webhook --manifests examples/override --port 8443 --self-signed
      without a cluster: overrides, namespaces and LimitRanges from files
  overbook webhook --certificates /etc/webhook/tls
      in a cluster, with the mounted Secret of `overbook certificates`, cert-manager or OpenShift
  overbook webhook --certificates /etc/webhook/tls --mode observe
      only warn, and change no pod

Reviews: POST https://HOST:8443/override. Status: http://HOST:9715/metrics, /healthz, /readyz.
With --probe-port the last two are also there, and the other port can be kept from the kubelet.
"""


def _mode(text: str) -> str:
    return text.capitalize()


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command. No flag has a default, so that the settings' defaults count."""
    parser = subparsers.add_parser(
        "webhook",
        help="override the requests of pods when they are created",
        description="Override the requests of pods when they are created.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    source = parser.add_argument_group("overrides")
    source.add_argument(
        "--manifests",
        nargs="+",
        metavar="DIR",
        help="read overrides, namespaces and LimitRanges from files, without a cluster",
    )
    source.add_argument(
        "--override",
        dest="override_file",
        metavar="FILE",
        help="read overrides from a file, not from the cluster",
    )
    source.add_argument(
        "--kubeconfig", metavar="FILE", help="kubeconfig file (default: as kubectl, or as a pod)"
    )
    source.add_argument(
        "--discovery-seconds",
        type=float,
        metavar="SECONDS",
        help="how often to look for OpenShift's kinds (default: 30)",
    )
    source.add_argument(
        "--mode", type=_mode, choices=["Observe", "Enforce"], help="Observe: only warn (default: Enforce)"
    )
    source.add_argument(
        "--virtual-machine-maker",
        dest="virtual_machine_makers",
        action="append",
        metavar="USER",
        help="user that may create pods of VMs; may be repeated (default: KubeVirt's controller)",
    )
    serving = parser.add_argument_group("serving")
    serving.add_argument("--host", metavar="ADDRESS", help="address to listen on (default: all)")
    serving.add_argument("--port", type=int, help="port for reviews (default: 8443)")
    serving.add_argument(
        "--status-port", type=int, metavar="PORT", help="port for metrics and health (default: 9715)"
    )
    serving.add_argument(
        "--probe-port", type=int, metavar="PORT", help="further port for health alone (default: none)"
    )
    serving.add_argument(
        "--drain-seconds", type=float, metavar="SECONDS", help="time to answer after SIGTERM (default: 15)"
    )
    serving.add_argument(
        "--tls-min-version", metavar="VERSION", help="VersionTLS12 or VersionTLS13 (default: VersionTLS12)"
    )
    serving.add_argument(
        "--tls-cipher-suites",
        metavar="NAMES",
        help="suites of TLS 1.2, separated by commas, by Kubernetes' or OpenSSL's names (default: OpenSSL's)",
    )
    certificate = parser.add_argument_group("certificate")
    certificate.add_argument(
        "--certificates", dest="certificate_folder", metavar="DIR", help="folder with tls.crt and tls.key"
    )
    certificate.add_argument(
        "--client-ca-file",
        metavar="FILE",
        help="answer only clients with a certificate of these authorities (default: answer all)",
    )
    certificate.add_argument(
        "--self-signed",
        action="store_true",
        help="make a certificate, without a cluster (needs --manifests)",
    )
    certificate.add_argument("--namespace", help="namespace of the Service (default: overbook)")
    certificate.add_argument("--service", metavar="NAME", help="Service (default: overbook-webhook)")
    certificate.add_argument(
        "--certificate-seconds", type=float, metavar="SECONDS", help="validity (default: 90 days)"
    )
    certificate.add_argument("--certificate-poll-seconds", type=float, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    import logging
    import os
    import sys

    import msgspec

    try:
        from overbook.webhook.run import run as serve
        from overbook.webhook.settings import WebhookSettings
    except ModuleNotFoundError as error:
        print(f"overbook: webhook needs {error.name}: pip install 'overbook[webhook]'", file=sys.stderr)
        return 2
    given = {name: value for name, value in vars(arguments).items() if name not in ("command", "run")}
    given.setdefault("namespace", os.environ.get("POD_NAMESPACE") or "overbook")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    serve(msgspec.convert(given, WebhookSettings))
    return 0
