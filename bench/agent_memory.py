"""Memory of the real ``overbook agent`` process while it watches a node."""

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from bench.fake_node import FakeNode, fake_node
from bench.figure import Benchmark, Figure, say
from bench.process import free_port, used_mib

COMMAND = "python -m bench memory"
MOST_MIB = 40.0
MOST_MILLIS = 10.0
MOST_GROWTH_MIB = 1.0
INTERVAL_SECONDS = 0.1
FULL_WINDOW_TICKS = 130


def run(quick: bool) -> Iterator[Figure]:
    for form in ("json", "yaml"):
        say(f"the agent with {form} manifests")
        with fake_node(250, form) as node, _agent(node) as (process, port):
            _until(port, 60)
            used = used_mib(process.pid)
            yield _resident(f"resident memory after 60 ticks, {form} manifests", used["Rss"])
            note = "its own memory, and its share of memory that several processes map"
            yield _plain(f"proportional (PSS), {form} manifests", used["Pss"], note)
            yield _plain(f"anonymous, {form} manifests", used["Anonymous"])
            if form == "json":
                continue
            _until(port, FULL_WINDOW_TICKS)
            full, started = used_mib(process.pid), _ran(port, process.pid)
            ticks = 250 if quick else 600
            _until(port, ticks)
            later, ended = used_mib(process.pid), _ran(port, process.pid)
            yield Figure(
                name="CPU of a tick, mean of the whole process, 250 containers",
                value=round((ended[1] - started[1]) / (ended[0] - started[0]), 2),
                unit="ms",
                at_most=MOST_MILLIS,
                command=COMMAND,
                note=f"/proc/PID/schedstat over {ended[0] - started[0]:.0f} ticks, with requests for metrics",
            )
            yield _resident(f"resident memory after {ticks} ticks, {form} manifests", later["Rss"])
            yield Figure(
                name=f"growth of anonymous memory from tick {FULL_WINDOW_TICKS} on",
                value=round(later["Anonymous"] - full["Anonymous"], 2),
                unit="MiB",
                at_most=MOST_GROWTH_MIB,
                command=COMMAND,
                note="until then the 10 s window fills: 100 samples here, 10 at the usual interval of 1 s",
            )


def _resident(name: str, mebibytes: float) -> Figure:
    return Figure(name=name, value=round(mebibytes, 1), unit="MiB", at_most=MOST_MIB, command=COMMAND)


def _plain(name: str, mebibytes: float, note: str = "") -> Figure:
    return Figure(name=name, value=round(mebibytes, 1), unit="MiB", command=COMMAND, note=note)


@contextmanager
def _agent(node: FakeNode) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    command = [sys.executable, "-m", "overbook", "agent", "--fsroot", node.root]
    command += ["--manifests", node.manifests, "--interval", str(INTERVAL_SECONDS)]
    command += ["--listen", f"127.0.0.1:{port}", "--verbosity", "0", "--mode", "enforce"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - ours
    try:
        yield process, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _until(port: int, ticks: int) -> None:
    """Wait until the agent has taken that many samples and sees all containers."""
    deadline = time.monotonic() + 60 + ticks * INTERVAL_SECONDS * 3
    while time.monotonic() < deadline:
        try:
            lines = _get(port, "/metrics").splitlines()
        except OSError:
            time.sleep(0.2)  # it does not listen yet
            continue
        values = _values(lines)
        if float(values["overbook_ticks_total"]) >= ticks:
            assert float(values["overbook_containers"]) == 250
            assert float(values["overbook_pods_known"]) == 125
            assert float(values["overbook_failed_ticks_total"]) == 0
            return
        time.sleep(1.0)
    raise TimeoutError(f"the agent did not reach {ticks} ticks")


def _values(lines: list[str]) -> dict[str, str]:
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def _ran(port: int, pid: int) -> tuple[float, float]:
    """The number of ticks and the milliseconds of CPU so far."""
    ticks = float(_values(_get(port, "/metrics").splitlines())["overbook_ticks_total"])
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return ticks, int(file.read().split()[0]) / 1e6


def _get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


BENCHMARK = Benchmark("memory", "Memory of the agent's process, 250 containers", run)
