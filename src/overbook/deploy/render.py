"""The files in ``deploy``: the templates of the Helm chart, and the files for kustomize.

The chart has the same objects, with its values where installations may differ. ``Chart.yaml``,
``values.yaml`` and ``values.schema.json`` are written by hand.
"""

import re
from collections.abc import Iterator
from typing import Final

from overbook.deploy import monitoring, openshift
from overbook.deploy.certificates_workload import Source
from overbook.deploy.installation import Installation, Manifest
from overbook.deploy.parts import PARTS, Group, Part
from overbook.deploy.vm_identity import vm_identity
from overbook.deploy.yaml_text import yaml_text

_NO_FOLDING: Final = 10_000


def _webhook_of(source: Source) -> str:
    """The condition for the webhook with a certificate of this source."""
    return f'and .Values.webhook.enabled (eq .Values.webhook.certificates.from "{source}")'


_CONDITIONS: Final[dict[Group, str]] = {
    "webhook": _webhook_of("own"),
    "webhook-cert-manager": _webhook_of("cert-manager"),
    "webhook-service-ca": _webhook_of("service-ca"),
    "vm-identity": ".Values.vmIdentityPolicy",
    "last-resort": 'eq (dig "relief" "lastResort" "None" .Values.overcommit) "Delete"',
    "openshift": f'.Capabilities.APIVersions.Has "{openshift.API}"',
    "monitoring": f'.Capabilities.APIVersions.Has "{monitoring.API}"',
}
_PART_CONDITIONS: Final = {"metrics-access": ".Values.metrics.from"}
"""Parts that a value switches off; an empty list here would let everybody in, so it is the switch."""
_NOT_IN_THE_CHART: Final = frozenset({"namespace"})
"""Parts left out: Helm keeps its records in the namespace, which must exist before the chart is installed."""

_APPLIED_ONCE: Final[frozenset[Group]] = frozenset({"overcommit"})
"""Groups whose files are beside the folders for kustomize, so that none of these applies them again."""

_AS_VALUE: Final = re.compile(r"^( *(?:- )?)([\w.]+): '?<(\.[\w.]+)>'?$", re.MULTILINE)
_IN_TEXT: Final = re.compile(r"^( *)<(\.[\w.]+)>$", re.MULTILINE)

_OF_AN_ALERT: Final = re.compile(r"\{\{ \$labels\.\w+ \}\}")
"""Placeholders that Prometheus replaces; they have the same brackets as Helm's."""


def chart_files() -> Iterator[tuple[str, str]]:
    """The path (below the chart) and content of each generated file."""
    where = Installation(
        namespace="{{ .Release.Namespace }}",
        image="{{ .Values.image.repository }}",
        tag="{{ .Values.image.tag | default .Chart.AppVersion }}",
        overcommit="<.Values.overcommit>",
        agent_configuration="<.Values.agent.configuration>\n",
        agent_resources="<.Values.agent.resources>",
        agent_tolerations="<.Values.agent.tolerations>",
        controller_resources="<.Values.controller.resources>",
        webhook_resources="<.Values.webhook.resources>",
        webhook_replicas="<.Values.webhook.replicas>",
        webhook_node_selector="<.Values.webhook.nodeSelector>",
        webhook_tolerations="<.Values.webhook.tolerations>",
        webhook_tls_min_version="{{ .Values.webhook.tls.minVersion }}",
        webhook_tls_cipher_suites='{{ join "," .Values.webhook.tls.cipherSuites }}',
        vm_identity_accounts="{{ .Values.vmIdentityAccounts | toJson }}",
        certificates_resources="<.Values.webhook.certificates.resources>",
        metrics_from="<.Values.metrics.from>",
    )
    for part in PARTS:
        if part.name in _NOT_IN_THE_CHART:
            continue
        if part.group == "crds":
            yield f"crds/{part.name}.yaml", yaml_text(part.objects(where))
            continue
        text = _templated(yaml_text(part.objects(where), width=_NO_FOLDING))
        condition = _PART_CONDITIONS.get(part.name) or _CONDITIONS.get(part.group)
        if condition:
            text = f"{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n"
        yield f"templates/{part.name}.yaml", text


def _templated(text: str) -> str:
    """Replace ``<.Values.x>`` by a template that inserts the value as YAML; keep an alert's placeholders."""

    def as_value(found: re.Match[str]) -> str:
        depth = len(found[1]) + 2
        return f"{found[1]}{found[2]}:\n{' ' * depth}{{{{- toYaml {found[3]} | nindent {depth} }}}}"

    def in_text(found: re.Match[str]) -> str:
        depth = len(found[1])
        return f"{found[1]}{{{{- with {found[2]} }}}}{{{{ toYaml . | nindent {depth} }}}}{{{{- end }}}}"

    kept = _OF_AN_ALERT.sub(lambda found: f'{{{{ "{found[0]}" }}}}', text)
    return _IN_TEXT.sub(in_text, _AS_VALUE.sub(as_value, kept))


BY_HAND: Final = frozenset({"chart/Chart.yaml", "chart/values.yaml", "chart/values.schema.json"})
"""The files in ``deploy`` that are written by hand."""


def deploy_files() -> dict[str, str]:
    """The content of each generated file, by its path below ``deploy``."""
    files = dict(kustomize_files(Installation()))
    return files | {f"chart/{path}": text for path, text in chart_files()}


def kustomize_files(where: Installation) -> Iterator[tuple[str, str]]:
    """The path (below ``deploy``) and content of each file for kustomize."""
    groups: dict[Group, list[str]] = {}
    for part in PARTS:
        groups.setdefault(part.group, []).append(f"{part.name}.yaml")
        yield _path(part), yaml_text(part.objects(where))
    for group, names in groups.items():
        if group in _APPLIED_ONCE:
            continue
        yield f"{_folder(group)}/kustomization.yaml", yaml_text([_kustomization(group, names)])
    yield "components/without-vm-identity/kustomization.yaml", yaml_text([_without(vm_identity(where))])


def _path(part: Part) -> str:
    name = f"{part.name}.yaml"
    return name if part.group in _APPLIED_ONCE else f"{_folder(part.group)}/{name}"


def _folder(group: Group) -> str:
    return group if group in {"crds", "base"} else f"components/{group}"


def _kustomization(group: Group, names: list[str]) -> Manifest:
    if group in {"crds", "base"}:
        version, kind = "kustomize.config.k8s.io/v1beta1", "Kustomization"
    else:
        version, kind = "kustomize.config.k8s.io/v1alpha1", "Component"
    found: Manifest = {"apiVersion": version, "kind": kind, "resources": names}
    if group == "base":
        found["components"] = ["../components/vm-identity"]  # `without-vm-identity` leaves it out
    return found


def _without(objects: list[Manifest]) -> Manifest:
    """A component that removes objects of the base."""
    patches = [
        {
            "patch": yaml_text(
                [
                    {
                        **{name: each[name] for name in ("apiVersion", "kind")},
                        "$patch": "delete",
                        "metadata": {"name": each["metadata"]["name"]},
                    }
                ]
            )
        }
        for each in objects
    ]
    return {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "patches": patches}
