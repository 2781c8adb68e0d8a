"""``overbook certificates``: make and renew the webhook's certificate."""

import argparse

EXAMPLES = """examples:
  overbook certificates
      in its pod, beside `overbook webhook --certificates DIR`, where the Secret is mounted
  overbook certificates --namespace guests --kubeconfig ~/.kube/config
      another namespace, outside the cluster

It keeps the Secret overbook-webhook-tls and the caBundle of the MutatingWebhookConfiguration. It listens on
no port. It is not needed if cert-manager or OpenShift's service CA makes the certificate.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command. No flag has a default, so that the settings' defaults count."""
    parser = subparsers.add_parser(
        "certificates",
        help="make and renew the webhook's certificate",
        description="Make and renew the webhook's certificate in its Secret, and publish its CA.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "--kubeconfig", metavar="FILE", help="kubeconfig file (default: as kubectl, or as a pod)"
    )
    parser.add_argument(
        "--context", metavar="NAME", help="context of the kubeconfig (default: the current one)"
    )
    parser.add_argument("--namespace", help="namespace of the Secret and the Service (default: overbook)")
    parser.add_argument("--service", metavar="NAME", help="Service (default: overbook-webhook)")
    parser.add_argument(
        "--configuration", metavar="NAME", help="MutatingWebhookConfiguration (default: overbook-webhook)"
    )
    parser.add_argument(
        "--certificate-seconds", type=float, metavar="SECONDS", help="validity (default: 90 days)"
    )
    parser.add_argument("--poll-seconds", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--settle-seconds", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--loss-seconds", type=float, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Renew until SIGTERM."""
    import importlib.util
    import logging
    import os
    import sys

    import msgspec

    from overbook.core.errors import InvalidInput

    missing = [
        name for name in ("overbook.certificates", "cryptography") if not importlib.util.find_spec(name)
    ]
    if missing:
        print(f"overbook: certificates needs {missing[0]}: pip install 'overbook[webhook]'", file=sys.stderr)
        return 2
    from overbook.certificates.run import run as renew
    from overbook.certificates.settings import CertificateSettings

    given = {name: value for name, value in vars(arguments).items() if name not in ("command", "run")}
    given.setdefault("namespace", os.environ.get("POD_NAMESPACE") or "overbook")
    settings = msgspec.convert(given, CertificateSettings)
    if not settings.certificate_seconds > 0:
        raise InvalidInput("--certificate-seconds", f"{settings.certificate_seconds:g}", "more than 0")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    renew(settings)
    return 0
