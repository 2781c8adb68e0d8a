"""``overbook explain --override``: how admission would change pods, offline, by the webhook's own rules."""

import argparse
from collections.abc import Iterator

from overbook.cli.output import BOLD, RED, painted, write_structured
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.admissibility import complaint
from overbook.core.kubernetes.limit_range import with_defaults
from overbook.core.kubernetes.resolved import resolve
from overbook.core.override.admission import admit
from overbook.core.override.override import apply
from overbook.core.override.texts import sentence, warnings
from overbook.core.text import cores, shown_or
from overbook.explain.inventory import Found, take_inventory
from overbook.explain.pod import shown_amounts
from overbook.explain.report import CpuAndMemory, ReportStruct
from overbook.webhook.manifests import read_documents, take
from overbook.webhook.policies import NamespaceLabels, NamespaceMetadata, NamespaceSwitches, Policies

_WORDS = {
    "Overridden": "overridden",
    "Observed": "not changed: the override only observes",
    "AsItShouldBe": "nothing to change: it has no limits, or already has the wanted requests",
    "Inadmissible": "left unchanged: the API server would refuse it",
    "BrokenOverride": "left unchanged: the override cannot be used",
    "InvalidQuantity": "left unchanged: the API server would refuse a quantity",
    "NoOverride": "left unchanged: there is no override for it",
    "PodSwitchedOff": "left unchanged: its annotation switches the override off",
    "VirtualMachine": "left unchanged: it runs a virtual machine, to which KubeVirt's percentage applies",
    "MirrorPod": "left unchanged: it is the mirror of a static pod",
    "NamespaceNotEnabled": "left unchanged: its namespace has not enabled the override",
    "NamespaceSwitchedOff": "left unchanged: its namespace has switched the override off",
    "SystemNamespace": "left unchanged: its namespace belongs to the system",
}


class PodOverride(ReportStruct, frozen=True):
    """The result for a pod; requests and limits are those of the whole pod, as the scheduler counts them."""

    name: str
    where: str
    outcome: str
    override: str
    detail: str
    changes: tuple[str, ...]
    warnings: tuple[str, ...]
    requests_before: CpuAndMemory
    requests: CpuAndMemory
    refused: str


def explain_override(arguments: argparse.Namespace) -> int:
    """Print the result for each pod in the files.

    Raises:
        InvalidInput: an override or a manifest is not valid.
        OSError: a file cannot be read.
    """
    policies = Policies(virtual_machine_makers=None)
    documents = [*read_documents([arguments.override]), *read_documents(arguments.files)]
    if not take(policies, documents):
        expected = "a ClusterResourceOverride, a ResourceOverride, or an Overcommit with an override"
        raise InvalidInput("--override", arguments.override, expected)
    inventory = take_inventory(documents)
    if not inventory.found:
        raise InvalidInput(" ".join(arguments.files), "nothing", "at least one pod or workload to explain")
    for namespace in {found.namespace for found in inventory.found} - inventory.namespaces.keys():
        labels = NamespaceLabels(enabled="true")
        policies.set_namespace(
            namespace, NamespaceSwitches(metadata=NamespaceMetadata(name=namespace, labels=labels))
        )
    reports = [_report(found, policies) for found in inventory.found]
    if arguments.output != "table":
        write_structured(reports, arguments.output)
        return 0
    for report in reports:
        for line in _lines(report):
            print(line)
    return 0


def _report(found: Found, policies: Policies) -> PodOverride:
    namespace = policies.of(found.namespace)
    try:
        pod = with_defaults(found.pod, policies.limit_ranges(found.namespace))
    except InvalidInput as error:
        raise error.inside(f"{found.where}: {found.kind} {found.name}: ") from error
    admission = admit(pod, namespace, policies.cluster)
    after = apply(pod, admission.override.changes) if admission.outcome == "Overridden" else pod
    try:
        before = resolve(pod)
        resolved = before if after is pod else resolve(after)
        return PodOverride(
            name=pod.label,
            where=found.where,
            outcome=admission.outcome,
            override=admission.source.label,
            detail=admission.detail,
            changes=tuple(sentence(change, named=True) for change in admission.override.changes),
            warnings=tuple(warnings(pod, admission)),
            requests_before=shown_amounts(before.requests),
            requests=shown_amounts(resolved.requests),
            refused=complaint(resolved, resolved.level, namespace.constraints),
        )
    except InvalidInput as error:
        raise error.inside(f"{found.where}: {found.kind} {found.name}: ") from error


def _lines(report: PodOverride) -> Iterator[str]:
    by = f" by {report.override}" if report.override else ""
    yield painted(f"Pod {report.name}", BOLD) + f"  [{report.where}]"
    yield f"  {_WORDS[report.outcome]}{by}" + (f": {report.detail}" if report.detail else "")
    for change in report.changes if report.outcome in ("Overridden", "Observed") else ():
        yield f"    {change}"
    before, after = report.requests_before, report.requests
    memory = f"{shown_or(before.memory_bytes)} -> {shown_or(after.memory_bytes)}"
    yield f"  requests  cpu {cores(before.cpu_milli)} -> {cores(after.cpu_milli)}, memory {memory}"
    if report.refused:
        yield "  " + painted("refused by the API server:", RED) + f" {report.refused}"
