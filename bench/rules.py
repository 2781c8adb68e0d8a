"""Single functions: microseconds of CPU, compared with `json.loads`."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from bench.fake_node import launcher_pod
from bench.figure import Benchmark, Figure, micros_each
from overbook.core.api.override import OverridePolicy
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.quantity import parse
from overbook.core.override.override import override

COMMAND = "python -m bench rules"
DECODER = msgspec.json.Decoder(Pod)
QUANTITIES = ("640Mi", "200m", "1.5Gi", "35M", "1", "60M", "5m", "2560Mi")


def run(quick: bool) -> Iterator[Figure]:
    calls = 200 if quick else 1000
    data = msgspec.json.encode(launcher_pod(1))
    loads = micros_each(lambda: json.loads(data), calls)
    decode = micros_each(lambda: DECODER.decode(data), calls)
    uncached = parse.__wrapped__
    quantity = micros_each(lambda: [uncached(text) for text in QUANTITIES], calls) / len(QUANTITIES)
    remembered = micros_each(lambda: parse("640Mi"), calls)
    yield Figure(
        name="parse a quantity",
        value=round(quantity, 2),
        unit="us",
        command=COMMAND,
        note=f"{quantity / loads:.2f} times json.loads of a VM pod's manifest ({loads:.1f} us); one that "
        f"was seen before: {remembered:.2f} us",
    )
    yield Figure(
        name="decode a VM pod's manifest",
        value=round(decode, 1),
        unit="us",
        command=COMMAND,
        note=f"{decode / loads:.2f} times json.loads of the same {len(data)} bytes",
    )
    pod = DECODER.decode(msgspec.json.encode(_web_pod()))
    policy = OverridePolicy(memory_request_to_limit_percent=50, cpu_request_to_limit_percent=25)
    assert len(override(pod, policy).changes) >= 3
    took = micros_each(lambda: override(pod, policy), calls)
    yield Figure(
        name="override the requests of a pod of 3 containers",
        value=round(took, 1),
        unit="us",
        command=COMMAND,
        note=f"quantities seen before; {took / loads:.2f} times json.loads of a VM pod's manifest",
    )


def _web_pod() -> dict[str, Any]:
    limits = ({"cpu": "1", "memory": "2Gi"}, {"cpu": "500m", "memory": "256Mi"}, {"memory": "128Mi"})
    containers = [
        {"name": f"c{number}", "image": "web", "resources": {"limits": limit}}
        for number, limit in enumerate(limits)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": containers},
    }


BENCHMARK = Benchmark("rules", "Single functions", run)
