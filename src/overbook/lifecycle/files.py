"""All files of ``deploy`` that are made here, in one mapping."""

from typing import Final

from overbook.lifecycle.chart import chart_files
from overbook.lifecycle.installation import Installation
from overbook.lifecycle.kustomize import kustomize_files

BY_HAND: Final = frozenset({"chart/Chart.yaml", "chart/values.yaml", "chart/values.schema.json"})
"""Those that are not."""


def deploy_files() -> dict[str, str]:
    """Content by path below ``deploy``."""
    files = dict(kustomize_files(Installation()))
    return files | {f"chart/{path}": text for path, text in chart_files()}
