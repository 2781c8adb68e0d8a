from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.agent.metrics import METRICS as AGENT
from overbook.controller.metrics import METRICS as CONTROLLER
from overbook.probes.exposition import Histogram, Metric, Values, render
from overbook.webhook.metrics import METRICS as WEBHOOK
from tests.probes.exposition_reader import parsed

NAMED: dict[str, tuple[Metric[Any], ...]] = {"agent": AGENT, "controller": CONTROLLER, "webhook": WEBHOOK}


def one(values: Values, *labels: str) -> str:
    metric = Metric[None]("seen", "gauge", "What is seen.", lambda _: values, labels)
    return render("test_", (metric,), None).decode()


def test_a_number_has_its_help_and_type_before_it() -> None:
    assert one(0.5) == "# HELP test_seen What is seen.\n# TYPE test_seen gauge\ntest_seen 0.5\n"


def test_a_metric_without_values_is_left_out() -> None:
    assert one(None) == ""


@given(st.dictionaries(st.tuples(st.text(), st.text()), st.floats(allow_nan=False, allow_infinity=False)))
def test_any_label_can_be_read_again(values: dict[tuple[str, str], float]) -> None:
    read = parsed(one(values, "pod", "rule"))

    assert read == {
        ("test_seen", (("pod", pod), ("rule", rule))): value for (pod, rule), value in values.items()
    }


def test_one_label_needs_no_tuple() -> None:
    assert one({"a": 1, "b": 2}, "pod").splitlines()[2:] == ['test_seen{pod="a"} 1', 'test_seen{pod="b"} 2']


def test_the_buckets_of_a_histogram_add_up() -> None:
    metric = Metric[None]("s", "histogram", "Time.", lambda _: Histogram((0.5, 1.0), (3, 0, 2), 4.25))

    assert render("", (metric,), None).decode().splitlines()[2:] == [
        's_bucket{le="0.5"} 3',
        's_bucket{le="1.0"} 3',
        's_bucket{le="+Inf"} 5',
        "s_sum 4.25",
        "s_count 5",
    ]


@pytest.mark.parametrize("component", NAMED)
def test_metrics_of_a_component_are_named_once_and_by_their_kind(component: str) -> None:
    metrics = NAMED[component]
    names = [metric.name for metric in metrics]

    assert len(set(names)) == len(names)
    for metric in metrics:
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert metric.text.endswith("."), metric.name
