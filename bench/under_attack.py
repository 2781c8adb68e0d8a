"""The real processes under attack: whether API server and kubelet are answered, and how large they get."""

import asyncio
import http.client
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final

import msgspec

from bench.admission_reviews import SMALL, bodies
from bench.fake_node import fake_node
from bench.process import free_port
from bench.webhook_load import HEAD
from overbook.core.kubernetes.quantity import thousandths
from overbook.deploy.installation import Installation

REVIEWS_A_SECOND: Final = 40
PROBES_A_SECOND: Final = 5
SETTLE_SECONDS: Final = 0.5
_REVIEW_SECONDS: Final = 2.0
"""The time limit of the shipped configuration, after which the API server does without an override."""
_PROBE_SECONDS: Final = 5.0
_FEWEST: Final = 5
_MOST_MORE_SECONDS: Final = 30.0
_KUBECONFIG: Final = """apiVersion: v1
kind: Config
current-context: nowhere
clusters: [{name: nowhere, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: nowhere, user: {token: none}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nowhere}}]
"""


class Victim(msgspec.Struct, frozen=True):
    """A process with its ports on the loopback interface; only the webhook has a port for reviews."""

    name: str
    pid: int
    limit_mib: float
    status_port: int
    probe_port: int
    review_port: int = 0


class Course(msgspec.Struct):
    """What the API server and the kubelet saw during an attack.

    Attributes:
        reviews: the seconds of each review that was answered with its override.
        missed: why the other reviews were not.
        probes: the seconds of each probe that was answered with 200.
        failed: why the other probes were not.
        peak_mib: the highest resident memory.
    """

    reviews: list[float] = msgspec.field(default_factory=list)
    missed: list[str] = msgspec.field(default_factory=list)
    probes: list[float] = msgspec.field(default_factory=list)
    failed: list[str] = msgspec.field(default_factory=list)
    peak_mib: float = 0.0

    def is_enough(self, *, reviews: bool) -> bool:
        """Whether there are some answers to judge by."""
        return len(self.probes) + len(self.failed) >= _FEWEST and (
            not reviews or len(self.reviews) + len(self.missed) >= _FEWEST
        )


def percentile(seconds: list[float], percent: float) -> float:
    """A percentile; infinite if there is nothing."""
    if not seconds:
        return float("inf")
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * percent / 100))]


@contextmanager
def victims() -> Iterator[list[Victim]]:
    """The webhook, the controller and the agent, with the ports that the shipped pods have."""
    shipped = Installation()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        with open(os.path.join(folder, "kubeconfig"), "w", encoding="ascii") as file:
            file.write(_KUBECONFIG)
        manifests = os.path.join(folder, "manifests")
        os.mkdir(manifests)
        with open(os.path.join(manifests, "cluster.json"), "wb") as binary:
            binary.write(msgspec.json.encode({"apiVersion": "v1", "kind": "List", "items": _objects()}))
        node = stack.enter_context(fake_node(250))
        reviews, ports = free_port(), [free_port() for _ in range(6)]
        yield [
            Victim(
                "webhook",
                stack.enter_context(
                    _running(
                        ports[1],
                        "webhook",
                        *("--manifests", manifests, "--self-signed", "--host=127.0.0.1"),
                        *(f"--port={reviews}", f"--status-port={ports[0]}", f"--probe-port={ports[1]}"),
                        "--drain-seconds=0",
                    )
                ),
                _limit_mib(shipped.webhook_resources),
                ports[0],
                ports[1],
                reviews,
            ),
            Victim(
                "controller",
                stack.enter_context(
                    _running(
                        ports[3],
                        "controller",
                        *("--kubeconfig", os.path.join(folder, "kubeconfig")),
                        *(f"--listen=127.0.0.1:{ports[2]}", f"--probe-listen=127.0.0.1:{ports[3]}"),
                    )
                ),
                _limit_mib(shipped.controller_resources),
                ports[2],
                ports[3],
            ),
            Victim(
                "agent",
                stack.enter_context(
                    _running(
                        ports[5],
                        "agent",
                        *("--fsroot", node.root, "--manifests", node.manifests, "--mode=observe"),
                        *(f"--listen=127.0.0.1:{ports[4]}", f"--probe-listen=127.0.0.1:{ports[5]}"),
                    )
                ),
                _limit_mib(shipped.agent_resources),
                ports[4],
                ports[5],
            ),
        ]


def attacked(victim: Victim, kind: str, name: str, port: int, seconds: float) -> Course:
    """Attack one of a victim's ports for a while, and ask it what it is asked in a cluster."""
    with open(f"/proc/{victim.pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # the peak begins anew
    command = ["nice", "-n", "5", sys.executable, "-m", "bench.strangers", kind, name, str(port)]
    attacker = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - ours
    try:
        course = asyncio.run(_observe(victim, attacker, seconds))
    finally:
        attacker.kill()
        attacker.wait()
    with open(f"/proc/{victim.pid}/status", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    course.peak_mib = int(fields["VmHWM"].split()[0]) / 1024
    return course


async def _observe(victim: Victim, attacker: "subprocess.Popen[bytes]", seconds: float) -> Course:
    course = Course()
    tasks = [asyncio.create_task(_probe(victim.probe_port, course))]
    if victim.review_port:
        tasks.append(asyncio.create_task(_review(victim.review_port, course)))
    await asyncio.sleep(seconds)
    more = time.monotonic() + _MOST_MORE_SECONDS  # on a busy machine nothing may have happened yet
    while not course.is_enough(reviews=victim.review_port > 0) and time.monotonic() < more:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    if attacker.poll() is not None:
        raise RuntimeError(f"the attack ended with status {attacker.returncode}")
    attacker.terminate()
    await asyncio.sleep(SETTLE_SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return course


async def _probe(port: int, course: Course) -> None:
    """Ask as a kubelet does: each time on a new connection."""
    while True:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                    answer = await reader.read()
                finally:
                    writer.transport.abort()
            if b" 200 OK" in answer:
                course.probes.append(time.perf_counter() - began)
            else:
                course.failed.append(repr(answer[:60]))
        except (OSError, TimeoutError) as error:
            course.failed.append(repr(error))
        await asyncio.sleep(max(0.0, 1 / PROBES_A_SECOND - (time.perf_counter() - began)))


class _ApiServer:
    """A client that keeps its connection, as the API server's does, and opens another one if it is closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._context = ssl.create_default_context()
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._kept: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes) -> bytes:
        if self._kept is not None and self._kept[0].at_eof():
            self.forget()
        if self._kept is None:
            self._kept = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context)
        reader, writer = self._kept
        writer.write(HEAD.format(len(body)).encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.split(b"Content-Length: ", 1)[1].split(b"\r\n", 1)[0])
        return head + await reader.readexactly(length)

    def forget(self) -> None:
        if self._kept is not None:
            self._kept[1].transport.abort()
            self._kept = None


async def _review(port: int, course: Course) -> None:
    """Send reviews on a connection that is kept, and every fourth on a new one."""
    sent = bodies(SMALL)
    kept = _ApiServer(port)
    try:
        await _send(port, kept, sent, course)
    finally:
        kept.forget()


async def _send(port: int, kept: "_ApiServer", sent: list[bytes], course: Course) -> None:
    number = 0
    while True:
        number += 1
        began = time.perf_counter()
        client = _ApiServer(port) if number % 4 == 0 else kept
        try:
            async with asyncio.timeout(_REVIEW_SECONDS):
                answer = await client.post(sent[number % len(sent)])
            if b" 200 OK" in answer and b'"patch":' in answer:
                course.reviews.append(time.perf_counter() - began)
            else:
                course.missed.append(repr(answer[:60]))
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            client.forget()
            course.missed.append(("new: " if client is not kept else "kept: ") + repr(error))
        finally:
            if client is not kept:
                client.forget()
        await asyncio.sleep(max(0.0, 1 / REVIEWS_A_SECOND - (time.perf_counter() - began)))


@contextmanager
def _running(probe_port: int, *arguments: str) -> Iterator[int]:
    """One of Overbook's processes, once its probe is answered; its process number."""
    process = subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-m", "overbook", *arguments], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 90
        while not _is_ready(probe_port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"overbook {arguments[0]} did not start")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _limit_mib(resources: Any) -> float:
    return thousandths(resources["limits"]["memory"]) / 1000 / 2**20


def _objects() -> list[dict[str, Any]]:
    percentages = {"memoryRequestToLimitPercent": 50, "cpuRequestToLimitPercent": 25}
    enabled = {"clusterresourceoverrides.admission.autoscaling.openshift.io/enabled": "true"}
    override = {
        "apiVersion": "operator.autoscaling.openshift.io/v1",
        "kind": "ClusterResourceOverride",
        "metadata": {"name": "cluster"},
        "spec": {"podResourceOverride": {"spec": percentages}},
    }
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"shop-{number}", "labels": enabled}}
        for number in range(1000)
    ]
    return [override, *namespaces]
