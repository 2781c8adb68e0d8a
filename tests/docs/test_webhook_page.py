import re

from overbook.webhook.metrics import METRICS, PREFIX
from tests.docs.reading import ROOT

PAGE = (ROOT / "docs" / "webhook.md").read_text(encoding="utf-8")


def test_every_metric_is_in_the_table() -> None:
    assert {
        metric.name for metric in METRICS if not re.search(rf"`{PREFIX}{metric.name}[`{{]", PAGE)
    } == set()
