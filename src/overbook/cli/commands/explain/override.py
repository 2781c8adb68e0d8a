"""``overbook explain --override``: how admission would change pods, offline, by the webhook's own rules."""

import argparse
import sys
from collections.abc import Iterable, Iterator

import msgspec

from overbook.cli.commands.explain.pod_text import left_out_line, wrapped
from overbook.cli.commands.explain.read import Problems, take_files, version_of
from overbook.cli.output import BOLD, RED, painted, write_structured
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.admissibility import complaint
from overbook.core.kubernetes.limit_range import with_defaults
from overbook.core.kubernetes.resolved import ResolvedPod, resolve
from overbook.core.kubernetes.version import KubernetesVersion
from overbook.core.kubevirt.memory import LauncherPolicy
from overbook.core.override.admission import admit
from overbook.core.override.override import apply
from overbook.core.override.reasons import class_words
from overbook.core.override.switches import NamespaceLabels, NamespaceMetadata, NamespaceSwitches
from overbook.core.override.texts import left_out, sentence, warnings
from overbook.core.text import cores, shown_or
from overbook.explain.autoscalers import utilisation_changes
from overbook.explain.cluster_objects import ClusterObjects
from overbook.explain.inventory import Found, Intake
from overbook.explain.pod import check_names, shown_amounts
from overbook.explain.quotas import quota_effects
from overbook.explain.report import CpuAndMemory, ReportStruct
from overbook.kube.files.manifests import Document
from overbook.webhook.manifests import TakenOverrides, read_documents, take
from overbook.webhook.policies import Policies

_TAKEN = ("Namespace", "LimitRange", "ClusterResourceOverride", "ResourceOverride", "Overcommit")
"""The kinds that the webhook's policies are made of."""
_WORDS = {
    "Overridden": "overridden",
    "Observed": "not changed: the override only observes",
    "AsItShouldBe": "nothing to change",
    "Inadmissible": "left unchanged: the API server would refuse it",
    "BrokenOverride": "left unchanged: the override cannot be used",
    "InvalidQuantity": "left unchanged: a quantity is not valid, or too large to take a part of it",
    "NoOverride": "left unchanged: there is no override for it",
    "PodSwitchedOff": "left unchanged: its annotation switches the override off",
    "VirtualMachine": "left unchanged: it runs a virtual machine, to which KubeVirt's percentage applies",
    "MirrorPod": "left unchanged: it is the mirror of a static pod",
    "NamespaceNotEnabled": "left unchanged: its namespace has not enabled the override",
    "NamespaceSwitchedOff": "left unchanged: its namespace has switched the override off",
    "SystemNamespace": "left unchanged: its namespace belongs to the system",
}


class PodOverride(ReportStruct, frozen=True):
    """The result for a pod; requests and limits are those of the whole pod, as the scheduler counts them.

    ``left_out`` is what the API server would refuse. ``consequences`` are those of the change, ``notes`` say
    what has no effect in the override that applies.
    """

    name: str
    where: str
    outcome: str
    override: str
    detail: str
    changes: tuple[str, ...]
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]
    requests_before: CpuAndMemory
    requests: CpuAndMemory
    refused: str
    qos_class_before: str
    qos_class: str
    consequences: tuple[str, ...]
    notes: tuple[str, ...]


def explain_override(arguments: argparse.Namespace) -> int:
    """Print the result for each pod in the files.

    Raises:
        InvalidInput: an override is not valid, or there is no pod.
        OSError: a file cannot be read.
    """
    problems = Problems()
    intake = Intake(problems.add, labels=True)
    policies, taken = _policies(arguments, intake, problems)
    version, _ = version_of(arguments, intake.objects)
    inventory = intake.inventory(LauncherPolicy())
    if not inventory.found:
        if problems.sentences:
            return problems.status()
        seen = ", ".join(f"{count} {kind}" for kind, count in inventory.ignored.items()) or "nothing"
        raise InvalidInput(" ".join(arguments.files), seen, "at least one pod or workload to explain")
    for namespace in {found.namespace for found in inventory.found} - inventory.namespaces.keys():
        labels = NamespaceLabels(enabled="true")
        policies.set_namespace(
            namespace, NamespaceSwitches(metadata=NamespaceMetadata(name=namespace, labels=labels))
        )
    one = _Overrider(policies, inventory.objects, version, taken.notes)
    reports = list(one.reports(inventory.found, problems))
    ignored = left_out_line({**inventory.ignored, **inventory.objects.without_use(overriding=True)})
    if arguments.output != "table":
        write_structured(reports, arguments.output)
        if ignored:
            print(f"overbook: {ignored}", file=sys.stderr)
        return problems.status()
    lines = [line for report in reports for line in _lines(report)]
    for note in taken.notes:
        lines += wrapped(f"note: {note}", "", "  ")
    print("\n".join([*lines, ignored] if ignored else lines))
    sys.stdout.flush()
    return problems.status()


def _policies(
    arguments: argparse.Namespace, intake: Intake, problems: Problems
) -> tuple[Policies, TakenOverrides]:
    """The policies of the override's file and of the other files; all other objects are taken in."""
    deciding: list[Document] = []

    def also(document: Document) -> None:
        if _decides(document):
            deciding.append(document)

    for document in read_documents([arguments.override]):
        # An override that is not valid ends the command, and `take` says why.
        if _decides(document):
            deciding.append(document)
        else:
            intake.take(document)
    take_files(arguments.files, intake, problems, also)
    policies = Policies(virtual_machine_makers=None)
    taken = take(policies, deciding)
    if not taken.number and not taken.notes:
        expected = "a ClusterResourceOverride, a ResourceOverride, or an Overcommit with an override"
        raise InvalidInput("--override", arguments.override, expected)
    return policies, taken


def _decides(document: Document) -> bool:
    """Whether the webhook's policies are made of the object."""
    return isinstance(document.manifest, dict) and document.manifest["kind"] in _TAKEN


class _Overrider:
    """Decides about pods by the webhook's rules."""

    def __init__(
        self,
        policies: Policies,
        objects: ClusterObjects,
        version: KubernetesVersion,
        notes: tuple[str, ...],
    ) -> None:
        self._policies = policies
        self._objects = objects
        self._version = version
        self._notes = notes

    def reports(self, found: Iterable[Found], problems: Problems) -> Iterator[PodOverride]:
        """The result for each pod; the errors of those that are not valid go to ``problems``."""
        for one in found:
            try:
                check_names(one)
                yield self._report(one)
            except InvalidInput as error:
                problems.add(error.inside(f"{one.where}: {one.kind} {one.name}: "))

    def _report(self, found: Found) -> PodOverride:
        policies = self._policies
        namespace = policies.of(found.namespace)
        # The override is for a pod that is created: what a status says is of one that was.
        submitted = msgspec.structs.replace(found.pod, status=None)
        pod = with_defaults(submitted, policies.limit_ranges(found.namespace), self._version)
        admission = admit(pod, namespace, policies.cluster)
        after = apply(pod, admission.override.changes) if admission.outcome == "Overridden" else pod
        before = resolve(pod, self._version)
        resolved = before if after is pod else resolve(after, self._version)
        return PodOverride(
            name=pod.label,
            where=found.where,
            outcome=admission.outcome,
            override=admission.source.label,
            detail=admission.detail,
            changes=tuple(sentence(change, named=True) for change in admission.override.changes),
            left_out=tuple(left_out(one) for one in admission.left_out),
            warnings=tuple(warnings(pod, admission)),
            requests_before=shown_amounts(before.requests),
            requests=shown_amounts(resolved.requests),
            refused=complaint(resolved, resolved.level, namespace.constraints),
            qos_class_before=before.qos_class,
            qos_class=resolved.qos_class,
            consequences=tuple(self._consequences(found, before, resolved)) if after is not pod else (),
            notes=tuple(self._of(admission.source.label)),
        )

    def _of(self, label: str) -> Iterator[str]:
        """What has no effect in the override that applies; for a pod without one, in all of them."""
        for note in self._notes:
            if not label or f": {label}: " in note:
                yield note

    def _consequences(self, found: Found, before: ResolvedPod, after: ResolvedPod) -> Iterator[str]:
        lost = class_words(before, after)
        if lost:
            numbers = f"oom_score_adj {_oom_words(before)} -> {_oom_words(after)}"
            yield f"{lost}, killed earlier when the node runs out of memory ({numbers})"
        for quota in self._objects.quotas.get(found.namespace, ()):
            yield from quota_effects(quota, before, after, found)
        if self._objects.autoscalers:
            owner = (found.kind, found.namespace, found.name.partition("/")[2])
            yield from utilisation_changes(self._objects.autoscalers, owner, before.requests, after.requests)


def _oom_words(pod: ResolvedPod) -> str:
    """What is known of ``oom_score_adj`` without the node's memory."""
    return {"Guaranteed": "-997", "BestEffort": "1000"}.get(pod.qos_class, "by its request")


def _lines(report: PodOverride) -> Iterator[str]:
    by = f" by {report.override}" if report.override else ""
    yield painted(f"Pod {report.name}", BOLD) + f"  [{report.where}]"
    yield f"  {_WORDS[report.outcome]}{by}" + (f": {report.detail}" if report.detail else "")
    for change in (*report.changes, *report.left_out) if report.outcome in ("Overridden", "Observed") else ():
        yield f"    {change}"
    before, after = report.requests_before, report.requests
    memory = f"{shown_or(before.memory_bytes)} -> {shown_or(after.memory_bytes)}"
    yield f"  requests  cpu {cores(before.cpu_milli)} -> {cores(after.cpu_milli)}, memory {memory}"
    for consequence in report.consequences:
        yield from wrapped(consequence, "  therefore ", "    ")
    if report.refused:
        yield "  " + painted("refused by the API server:", RED) + f" {report.refused}"
