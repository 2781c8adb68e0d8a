"""Monitoring for clusters with the Prometheus operator: what to scrape, and the alerts."""

from typing import Any, Final

from overbook.deploy.installation import LABELS, Installation, Manifest, metadata
from overbook.deploy.webhook_workload import ADMISSION_NAME

API: Final = "monitoring.coreos.com/v1"
RUNBOOKS: Final = "https://github.com/overbook/overbook/blob/main/docs/runbooks"
SWAP_PAGES_PER_SECOND: Final = 200
"""The threshold each way, as in the alert of wasp-agent. The window is two minutes, not one, because a minute
has only two samples, and one may be missed."""


def monitoring(where: Installation) -> list[Manifest]:
    """A PodMonitor for all components, and the alerts."""
    return [
        {
            "apiVersion": API,
            "kind": "PodMonitor",
            "metadata": metadata("overbook", None, where.namespace),
            "spec": {
                "selector": {"matchLabels": dict(LABELS)},
                "namespaceSelector": {"matchNames": [where.namespace, where.node_namespace]},
                "podMetricsEndpoints": [{"port": "metrics", "interval": "30s"}],
            },
        },
        {
            "apiVersion": API,
            "kind": "PrometheusRule",
            "metadata": metadata("overbook", None, where.namespace),
            "spec": {"groups": [{"name": "overbook", "rules": _alerts()}]},
        },
    ]


def _alerts() -> list[dict[str, Any]]:
    return [_swap_activity(), _override_missed()]


def _swap_activity() -> dict[str, Any]:
    most = SWAP_PAGES_PER_SECOND
    return {
        "alert": "NodeHighSwapActivity",
        "expr": f"rate(node_vmstat_pswpout[2m]) > {most} and rate(node_vmstat_pswpin[2m]) > {most}",
        "for": "1m",
        "labels": {"severity": "warning"},
        "annotations": {
            "summary": "The node of {{ $labels.instance }} swaps out and in at the same time.",
            "description": f"More than {most} pages per second go each way ({_megabytes(most, 4)} MiB/s with "
            f"pages of 4 KiB, {_megabytes(most, 64)} MiB/s of 64 KiB): the pods need more memory at the "
            "same time than there is RAM, and wait for the disk. overbook status shows which pods.",
            "runbook_url": f"{RUNBOOKS}/NodeHighSwapActivity.md",
        },
    }


def _megabytes(pages: int, page_kib: int) -> str:
    return f"{pages * page_kib / 1024:.1f}"


def _override_missed() -> dict[str, Any]:
    misses = f'apiserver_admission_webhook_fail_open_count{{name="{ADMISSION_NAME}"}}'
    return {
        "alert": "OverbookOverrideMissed",
        "expr": f"sum(increase({misses}[10m])) > 0",
        "for": "10m",
        "labels": {"severity": "warning"},
        "annotations": {
            "summary": "Pods are created without the override of their requests.",
            "description": "The API server could not reach the webhook and admitted pods unchanged. "
            "Their requests are higher than with the override, so nodes look full too early. "
            "Check the pods with the label app.kubernetes.io/component=webhook.",
        },
    }
