"""The files in ``deploy``: the templates of the Helm chart, and the files for kustomize.

The chart has the same objects, with its values where installations may differ. ``Chart.yaml``,
``values.yaml`` and ``values.schema.json`` are written by hand.
"""

import re
from collections.abc import Iterator
from typing import Final

from overbook.core.api.group import API_VERSION
from overbook.core.api.overcommit import OVERCOMMIT_NAME
from overbook.deploy import monitoring, openshift
from overbook.deploy.installation import Installation, Manifest
from overbook.deploy.parts import PARTS, Group
from overbook.deploy.yaml_text import yaml_text

_NO_FOLDING: Final = 10_000
_CONDITIONS: Final[dict[Group, str]] = {
    "webhook": ".Values.webhook.enabled",
    "vm-identity": ".Values.vmIdentityPolicy",
    "last-resort": 'eq (dig "relief" "lastResort" "None" .Values.overcommit) "Delete"',
    "openshift": f'.Capabilities.APIVersions.Has "{openshift.API}"',
    "monitoring": f'.Capabilities.APIVersions.Has "{monitoring.API}"',
}
_NOT_IN_THE_CHART: Final = frozenset({"namespace"})
"""Parts left out: Helm keeps its records in the namespace, which must exist before the chart is installed."""

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
    )
    for part in PARTS:
        if part.name in _NOT_IN_THE_CHART:
            continue
        if part.group == "crds":
            yield f"crds/{part.name}.yaml", yaml_text(part.objects(where))
            continue
        text = _templated(yaml_text(part.objects(where), width=_NO_FOLDING))
        condition = _CONDITIONS.get(part.group)
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
        yield f"{_folder(part.group)}/{part.name}.yaml", yaml_text(part.objects(where))
    for group, names in groups.items():
        yield f"{_folder(group)}/kustomization.yaml", yaml_text([_kustomization(group, names)])


def _folder(group: Group) -> str:
    return group if group in {"crds", "base"} else f"components/{group}"


def _kustomization(group: Group, names: list[str]) -> Manifest:
    if group in {"crds", "base"}:
        version, kind = "kustomize.config.k8s.io/v1beta1", "Kustomization"
    else:
        version, kind = "kustomize.config.k8s.io/v1alpha1", "Component"
    found: Manifest = {"apiVersion": version, "kind": kind, "resources": names}
    if group == "last-resort":
        # The component grants the right and also switches the setting on.
        change = {
            "apiVersion": API_VERSION,
            "kind": "Overcommit",
            "metadata": {"name": OVERCOMMIT_NAME},
            "spec": {"relief": {"lastResort": "Delete"}},
        }
        found["patches"] = [{"patch": yaml_text([change])}]
    return found
