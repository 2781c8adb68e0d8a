"""The input of ``explain``: all objects, the errors of those that are not valid, and the node among them."""

import argparse
import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from overbook.cli.options import node_of
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.quantity import MAX_INT64
from overbook.core.kubernetes.version import PINNED, KubernetesVersion, kubernetes_version
from overbook.explain.inventory import Intake
from overbook.kube.files.manifests import Document, is_json, read_documents_of
from overbook.kube.files.sources import read_sources

if TYPE_CHECKING:
    from overbook.core.kubevirt.settings import VmSettings
    from overbook.explain.cluster_objects import ClusterObjects
    from overbook.explain.node import ExplainedNode
    from overbook.kube.api.objects import Node

MOST_SHOWN = 20
"""The most errors that are shown; the others are counted."""


class Problems:
    """The errors of the objects that are not valid."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, error: InvalidInput) -> None:
        """Note an error; what remains of the input is shown all the same."""
        self.sentences.append(" ".join(str(error).split()))

    def status(self) -> int:
        """Show the errors on standard error, a line each. Returns the exit status: 2 if there are any."""
        for sentence in self.sentences[:MOST_SHOWN]:
            print(f"overbook: {sentence}", file=sys.stderr)
        if len(self.sentences) > MOST_SHOWN:
            print(f"overbook: and {len(self.sentences) - MOST_SHOWN} more objects", file=sys.stderr)
        return 2 if self.sentences else 0


def take_files(
    files: list[str], intake: Intake, problems: Problems, also: Callable[[Document], None] | None = None
) -> None:
    """Take all objects of the files; ``also`` gets those that are valid.

    Raises:
        OSError: a file cannot be read.
    """
    for source in read_sources(files):
        if source.rest is not None and not is_json(source.data):
            print(
                f"overbook: {source.name} is long YAML, which is read at about 5 MiB a second; JSON "
                "(kubectl get -o json) takes a tenth of the time",
                file=sys.stderr,
            )
        for document in read_documents_of(source, problems.add, long_yaml=True):
            before = len(problems.sentences)
            intake.take(document)
            if also is not None and len(problems.sentences) == before:
                also(document)


def version_of(arguments: argparse.Namespace, objects: "ClusterObjects") -> tuple[KubernetesVersion, str]:
    """Kubernetes' version and its source: the option, else a Node of the input, else what the rules follow.

    Raises:
        InvalidInput: the option is no version.
    """
    if arguments.kubernetes_version is not None:
        return kubernetes_version(
            arguments.kubernetes_version, "--kubernetes-version"
        ), "--kubernetes-version"
    chosen = _node(arguments, objects)
    for node in [chosen] if chosen else objects.nodes.values():
        written = node.status.node_info and node.status.node_info.kubelet_version
        if written:
            with contextlib.suppress(InvalidInput):  # a virtual kubelet may write anything
                return kubernetes_version(written, ""), f"Node {node.metadata.name}"
    return PINNED, ""


def node_with(
    arguments: argparse.Namespace, objects: "ClusterObjects", vms: "VmSettings | None" = None
) -> "ExplainedNode":
    """The node that the options describe; what they leave open is that of the Node in the input.

    The Node is the one that ``--on-node`` names, or the only one; the percentage may be that of a
    KubeVirt or HyperConverged object, else an Overcommit's.

    Raises:
        InvalidInput: an option is out of range.
    """
    from overbook.core.kubernetes.resources import amounts

    version, version_from = version_of(arguments, objects)
    given, percent_from = _with_percentage(arguments, objects, vms)
    one = _node(arguments, objects)
    memory = None if one is None else amounts(one.status.capacity).memory_bytes
    if one is None or not memory or memory >= MAX_INT64 or arguments.node_memory is not None:
        node = node_of(given)
    else:
        node = _of_object(given, one)
    changes = {"version": version, "version_from": version_from}
    if percent_from:
        changes |= {
            "percent_from": percent_from,
            "swap_from": node.swap_from.replace("--percent", percent_from),
        }
    return msgspec.structs.replace(node, **changes)


def _of_object(arguments: argparse.Namespace, one: "Node") -> "ExplainedNode":
    from overbook.core.kubernetes.resources import amounts

    source = f"Node {one.metadata.name}"
    capacity, reported = amounts(one.status.capacity), one.status.allocatable
    chosen = argparse.Namespace(**vars(arguments))
    chosen.node_memory = str(capacity.memory_bytes or 0)
    if chosen.node_cpu is None and capacity.cpu_milli:
        chosen.node_cpu = f"{capacity.cpu_milli}m"
    info = one.status.node_info
    swap = info.swap.capacity if info is not None and info.swap is not None else None
    if chosen.node_swap is None and swap is not None and 0 <= swap < MAX_INT64:
        chosen.node_swap = str(swap)
    node = node_of(chosen)
    return msgspec.structs.replace(
        node,
        memory_from=source,
        swap_from=source if arguments.node_swap is None and swap is not None else node.swap_from,
        allocatable=amounts(reported) if reported else None,
    )


def _with_percentage(
    arguments: argparse.Namespace, objects: "ClusterObjects", vms: "VmSettings | None"
) -> tuple[argparse.Namespace, str]:
    """The options with the percentage that the input gives, if they have none, and its source."""
    if arguments.percent is None and vms is not None:
        return argparse.Namespace(**{**vars(arguments), "percent": str(vms.policy.percent)}), vms.source
    if arguments.percent is None and objects.overrides:
        from overbook.core.api.overcommit import OVERCOMMIT_NAME, Overcommit

        for one in objects.overrides:
            if isinstance(one, Overcommit) and one.metadata.name == OVERCOMMIT_NAME:
                with_percent = {**vars(arguments), "percent": str(one.spec.percentage)}
                return argparse.Namespace(**with_percent), f"Overcommit/{OVERCOMMIT_NAME}"
    return arguments, ""


def _node(arguments: argparse.Namespace, objects: "ClusterObjects") -> "Node | None":
    nodes = objects.nodes
    if arguments.on_node:
        return nodes.get(arguments.on_node)
    return next(iter(nodes.values())) if len(nodes) == 1 else None
