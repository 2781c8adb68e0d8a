"""Metrics in Prometheus' text exposition format, rendered from a component's list of metrics."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Generic, Literal, TypeVar

import msgspec

Source = TypeVar("Source")
Kind = Literal["counter", "gauge", "histogram"]


class Histogram(msgspec.Struct, frozen=True, gc=False):
    """How many values fell into each bucket.

    Attributes:
        bounds: the upper bounds of the buckets, in ascending order.
        counts: the number of values in each bucket alone; the last is for values above all bounds.
        sum: the sum of all values.
    """

    bounds: Sequence[float]
    counts: Sequence[int]
    sum: float


Values = float | Mapping[Any, float] | Histogram | None
"""The values of a metric: one number; numbers by the tuple of the labels' values (by the value itself where
there
is one label); a histogram; or ``None``: not known, and the metric is left out."""


class Metric(msgspec.Struct, Generic[Source], frozen=True):
    """One metric of a component.

    Attributes:
        name: the name without the component's prefix; a counter's ends in ``_total``.
        kind: the metric's type in Prometheus' terms.
        text: the help: what the metric counts or measures, as a sentence.
        read: reads the present values.
        labels: the names of the labels, in the order of their values.
    """

    name: str
    kind: Kind
    text: str
    read: Callable[[Source], Values]
    labels: tuple[str, ...] = ()


def render(prefix: str, metrics: Sequence[Metric[Source]], source: Source) -> bytes:
    """The metrics in the exposition format.

    Args:
        prefix: the prefix of all names.
        metrics: the component's metrics.
        source: the object that each metric reads its values from.
    """
    return "".join(line for metric in metrics for line in _lines(prefix, metric, source)).encode()


def _lines(prefix: str, metric: Metric[Source], source: Source) -> Iterator[str]:
    values = metric.read(source)
    if values is None:
        return
    name = f"{prefix}{metric.name}"
    yield f"# HELP {name} {metric.text}\n# TYPE {name} {metric.kind}\n"
    if isinstance(values, Histogram):
        counts = list(accumulate(values.counts))
        for bound, count in zip((*values.bounds, "+Inf"), counts, strict=True):
            yield f'{name}_bucket{{le="{bound}"}} {count}\n'
        yield f"{name}_sum {values.sum:.9g}\n{name}_count {counts[-1]}\n"
    elif isinstance(values, Mapping):
        for key, value in values.items():
            if isinstance(key, str):  # the fast path: most lines are a pod's, with one label
                (label,) = metric.labels
                pairs = f'{label}="{_escaped(key)}"'
            else:
                pairs = ",".join(
                    f'{label}="{_escaped(each)}"' for label, each in zip(metric.labels, key, strict=True)
                )
            yield f"{name}{{{pairs}}} {value:.17g}\n"
    else:
        yield f"{name} {values:.17g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
