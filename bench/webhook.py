"""The real ``overbook webhook`` under load: TLS, 16 connections that stay open, a core for each side."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from bench.admission_reviews import LARGE, SMALL, bodies
from bench.figure import Benchmark, Figure, micros_each, say
from bench.process import cpu_micros, free_port, used_mib
from bench.webhook_load import offer

COMMAND = "python -m bench webhook"
CONNECTIONS = 16
NAMESPACES = 1_000
STRANGERS = 2_048
MOST_MICROS = {SMALL: 45.0, LARGE: 80.0}
MOST_TIMES_LOADS = {SMALL: 2.6, LARGE: 0.75}
MOST_P99_MILLIS = 10.0
MOST_MIB = 50.0
ENABLED = "clusterresourceoverrides.admission.autoscaling.openshift.io/enabled"


def run(quick: bool) -> Iterator[Figure]:
    cores = sorted(os.sched_getaffinity(0))
    mine, its = cores[-1], cores[0]
    with tempfile.TemporaryDirectory() as folder, _webhook(folder, its) as (process, port):
        os.sched_setaffinity(0, {mine})
        try:
            for size in (SMALL, LARGE):
                say(f"reviews of {size}")
                yield from _figures(size, process.pid, port, quick)
        finally:
            os.sched_setaffinity(0, cores)
        yield Figure(
            name=f"resident memory, {NAMESPACES} namespaces and {2 * NAMESPACES} LimitRanges, after the load",
            value=round(used_mib(process.pid)["Rss"], 1),
            unit="MiB",
            at_most=MOST_MIB,
            command=COMMAND,
        )


def _figures(size: str, pid: int, port: int, quick: bool) -> Iterator[Figure]:
    sent = bodies(size)
    seconds = 3.0 if quick else 10.0
    offer(port, sent, connections=CONNECTIONS, seconds=1.0)
    # The review and json.loads are measured in turn.
    rounds = 2 if quick else 4
    loads, each, rates = [], [], []
    for _ in range(rounds):
        loads.append(micros_each(lambda: [json.loads(body) for body in sent], 4, 5) / len(sent))
        before = cpu_micros(pid)
        load = offer(port, sent, connections=CONNECTIONS, seconds=seconds / rounds)
        assert load.refused == 0, f"{load.refused} reviews were not overridden"
        each.append((cpu_micros(pid) - before) / load.answered)
        rates.append(load.rate)
    cpu, ratio = min(each), min(one / other for one, other in zip(each, loads, strict=True))
    yield Figure(
        name=f"CPU of a review of {size}",
        value=round(cpu, 1),
        unit="us",
        at_most=MOST_MICROS[size],
        command=COMMAND,
        note=f"/proc/PID/schedstat, TLS included; the best of {rounds} rounds: "
        + ", ".join(f"{one:.1f}" for one in each),
    )
    yield Figure(
        name=f"the same, in times of json.loads of the same {len(sent[0])} bytes",
        value=round(ratio, 2),
        unit="times",
        at_most=MOST_TIMES_LOADS[size],
        command=COMMAND,
        note="json.loads took " + ", ".join(f"{one:.1f}" for one in loads) + " us in the same rounds",
    )
    before = cpu_micros(pid)
    strange = bodies(size, STRANGERS, NAMESPACES)
    load = offer(port, strange, connections=CONNECTIONS, seconds=seconds / rounds)
    yield Figure(
        name=f"CPU of a review of {size} of a pod that differs from all before",
        value=round((cpu_micros(pid) - before) / load.answered, 1),
        unit="us",
        command=COMMAND,
        note=f"{STRANGERS} pods in turn, twice as many as are kept",
    )
    most = max(rates)
    yield Figure(name=f"reviews of {size} a second", value=round(most), unit="/s", command=COMMAND)
    load = offer(port, sent, connections=CONNECTIONS, seconds=seconds, rate=0.8 * most)
    assert load.refused == 0
    yield Figure(
        name=f"p99 at 80 % of that, {size}",
        value=round(load.percentile(99) * 1e3, 2),
        unit="ms",
        at_most=MOST_P99_MILLIS,
        command=COMMAND,
        note=f"from the planned time, so waiting for a connection counts; median "
        f"{load.percentile(50) * 1e3:.2f} ms; slowest of {len(load.latencies)}: {load.slowest * 1e3:.0f} ms",
    )


@contextmanager
def _webhook(folder: str, core: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process, and its port for reviews."""
    with open(os.path.join(folder, "cluster.json"), "wb") as file:
        items = [_override(), *(one for number in range(NAMESPACES) for one in _namespace(number))]
        file.write(msgspec.json.encode({"apiVersion": "v1", "kind": "List", "items": items}))
    port, status_port = free_port(), free_port()
    command = [sys.executable, "-m", "overbook", "webhook", "--manifests", folder, "--self-signed"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--status-port", str(status_port)]
    command += ["--drain-seconds", "0"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - ours
    try:
        _wait_ready(status_port)
        os.sched_setaffinity(process.pid, {core})
        yield process, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _override() -> dict[str, Any]:
    percentages = {"memoryRequestToLimitPercent": 50, "cpuRequestToLimitPercent": 25}
    return {
        "apiVersion": "operator.autoscaling.openshift.io/v1",
        "kind": "ClusterResourceOverride",
        "metadata": {"name": "cluster"},
        "spec": {"podResourceOverride": {"spec": percentages}},
    }


def _namespace(number: int) -> Iterator[dict[str, Any]]:
    name = f"shop-{number}"
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {ENABLED: "true"}}}
    bounds = [
        {
            "type": "Container",
            "min": {"cpu": "10m", "memory": "16Mi"},
            "max": {"cpu": "16", "memory": "64Gi"},
        },
        {"type": "Pod", "maxLimitRequestRatio": {"memory": "10"}},
    ]
    for place, item in enumerate(bounds):
        yield {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": f"sizes-{place}", "namespace": name, "uid": f"{number}-{place}"},
            "spec": {"limits": [item]},
        }


def _wait_ready(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the webhook did not become ready")


def run_million(quick: bool) -> Iterator[Figure]:
    """Measure the slowest of a million reviews."""
    cores = sorted(os.sched_getaffinity(0))
    wanted, slowest, answered = (50_000 if quick else 1_000_000), 0.0, 0
    with tempfile.TemporaryDirectory() as folder, _webhook(folder, cores[0]) as (_, port):
        os.sched_setaffinity(0, {cores[-1]})
        try:
            while answered < wanted:
                say(f"{answered} of {wanted}")
                load = offer(port, bodies(SMALL), connections=CONNECTIONS, seconds=10.0)
                assert load.refused == 0
                answered += load.answered
                slowest = max(slowest, load.slowest)
        finally:
            os.sched_setaffinity(0, cores)
    yield Figure(
        name=f"slowest of {answered} reviews",
        value=round(slowest * 1e3, 1),
        unit="ms",
        at_most=1000.0,
        command=f"{COMMAND}-million",
    )


BENCHMARK = Benchmark("webhook", "The webhook under load, 16 connections over TLS", run)
MILLION = Benchmark("webhook-million", "A million reviews", run_million, by_name_only=True)
