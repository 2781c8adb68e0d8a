"""``overbook manifests``: print the objects of an installation. Nothing is sent to a cluster."""

import argparse

EXAMPLES = """examples:
  overbook manifests --part crds | kubectl apply --server-side -f -
      the custom resources, which must exist before the rest
  overbook manifests | kubectl apply --server-side -f -
      agent, controller, their rights and policies
  overbook manifests --part overcommit | kubectl create -f -
      once: the Overcommit, which is the cluster owner's from then on; without one nothing is changed
  overbook manifests --part webhook --part last-resort
      optional parts
  overbook manifests --namespace guests --image registry.example/overbook --tag 0.1.0
      another namespace and other images

This command only prints. docs/install.md describes the installation, also with kustomize and Helm.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    from overbook.deploy.installation import Installation
    from overbook.deploy.parts import PARTS

    defaults = Installation()
    groups = list(dict.fromkeys(part.group for part in PARTS))
    parser = subparsers.add_parser(
        "manifests",
        help="print the objects of an installation",
        description="Print the objects of an installation. Nothing is sent to a cluster.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--part",
        dest="parts",
        action="append",
        choices=groups,
        help="part to print; may be repeated (default: base and vm-identity)",
    )
    parser.add_argument("--namespace", default=defaults.namespace, help="namespace (default: %(default)s)")
    parser.add_argument(
        "--image", default=defaults.image, metavar="REPOSITORY", help="images are REPOSITORY-COMPONENT:TAG"
    )
    parser.add_argument("--tag", default=defaults.tag, help="tag of the images (default: %(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the objects."""
    from overbook.deploy.installation import Installation
    from overbook.deploy.parts import PARTS
    from overbook.deploy.yaml_text import yaml_text

    where = Installation(namespace=args.namespace, image=args.image, tag=args.tag)
    wanted = args.parts or ["base", "vm-identity"]
    objects = [each for part in PARTS if part.group in wanted for each in part.objects(where)]
    print(yaml_text(objects), end="")
    return 0
