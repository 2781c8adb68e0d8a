"""The writes of 5,000 agents on calm nodes, on a real API server: now, and as they were without Leases.

One process makes the writes of all agents, at their rate, for a minute; it cannot hold 5,000 connections, and
is nobody's service account, so admission only finds out that the policies do not apply. Where the machine is
too slow for the rate, the costs of what it did are multiplied, and the note says so.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from bench.cluster_filling import copy_object, etcd_metric
from bench.cluster_status import install_custom_resources
from bench.figure import Benchmark, Figure, say
from overbook.controller.kinds import AGENT_LEASES, ASKING_NODES
from overbook.core.api.heartbeat import HEARTBEAT_LABELS, HEARTBEAT_SECONDS, HEARTBEAT_SELECTOR
from overbook.core.api.overcommit_node import AGENT_MANAGER
from overbook.core.timestamp import to_timestamp
from overbook.deploy.installation import Installation
from overbook.deploy.parts import PARTS
from overbook.deploy.yaml_text import yaml_text
from overbook.kube.api.client import Client
from overbook.kube.api.find_cluster import load_config
from overbook.kube.api.kinds import LEASES, OVERCOMMIT_NODES
from overbook.kube.api.reflector import Reflector
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.go_programs import find
from overbook_sandbox.machine.errors import SandboxUnavailableError

COMMAND = "python -m bench scale"
AGENTS = 5_000
NODE_NAMESPACE = Installation().node_namespace
STATUS_SECONDS = 300.0
STATUS_SECONDS_BEFORE = 20.0
SECONDS, QUICK_SECONDS = 60.0, 15.0
AT_ONCE = 16
HISTORY_SECONDS = 300.0
"""After this time the API server lets etcd drop what was overwritten."""
FIRST = "node-0000"
DECISIONS = 10
"""With so many the status has the size of a node's that works: about 4.6 kB."""
_DB_BYTES = "etcd_mvcc_db_total_size_in_use_in_bytes"

Write = Callable[[Client, str], Awaitable[int]]


class Measured(msgspec.Struct, frozen=True):
    """What a minute of writes cost.

    Attributes:
        writes: their number.
        wanted: the number that their rate asks for.
        seconds: how long it took.
        sent_bytes: the bodies of the requests.
        api_server_cpu: CPU seconds of the API server, without those of a quiet one.
        etcd_cpu: likewise of etcd.
        etcd_bytes: the growth of etcd's data.
        slowest: seconds of the slowest of a hundred writes.
    """

    writes: int
    wanted: int
    seconds: float
    sent_bytes: int
    api_server_cpu: float
    etcd_cpu: float
    etcd_bytes: float
    slowest: float

    def a_second(self, value: float) -> float:
        """A cost in each second at the full rate."""
        return value / self.writes * self.wanted / self.seconds


def status(number: int) -> dict[str, Any]:
    """A calm node's status."""
    total = 65831416 << 10
    now = to_timestamp(time.time())
    sentence = (
        "swapped out 512 MiB of shop/db, which has not been used for ten minutes, and will not be soon "
    )
    return {
        "observedAt": now,
        "agentVersion": "1.0.0",
        "agentInstance": "019a6f3e2c00-a1b2c3",
        "mode": "Enforce",
        "memory": {"totalBytes": total, "availableBytes": total // 3 + (number << 12)},
        "swap": {"totalBytes": total // 2, "usedBytes": total // 9 + number, "allowedBytes": total // 3},
        "pressure": {"state": "None", "stallFullPercent": 0.2},
        "decisions": [
            {
                "id": f"d{n}",
                "at": now,
                "action": "reclaim",
                "sentence": sentence + "x" * 220,
                "victim": "s/db",
            }
            for n in range(DECISIONS)
        ],
    }


async def write_status(client: Client, name: str) -> int:
    node = {"metadata": {"name": name}, "status": status(int(name[-4:]))}
    await client.apply(OVERCOMMIT_NODES, node, manager=AGENT_MANAGER, subresource="status")
    return len(msgspec.json.encode(node))


async def renew(client: Client, name: str) -> int:
    renewal = [
        {"op": "test", "path": "/spec/holderIdentity", "value": "agent"},
        {"op": "replace", "path": "/spec/renewTime", "value": to_timestamp(time.time())},
    ]
    await client.json_patch(LEASES, name, renewal, NODE_NAMESPACE)
    return len(msgspec.json.encode(renewal))


def install(plane: ControlPlane) -> None:
    """Install what the API server has to do with each write, and the objects of all agents."""
    install_custom_resources(plane)
    parts = [each for part in PARTS if part.group == "base" for each in part.objects(Installation())]
    wanted = [each for each in parts if each["kind"] not in {"DaemonSet", "Deployment", "Overcommit"}]
    plane.kubectl("apply", "--server-side", "-f", "-", stdin=yaml_text(wanted))

    async def first() -> None:
        client = Client(load_config(plane.kubeconfig))
        await client.apply(OVERCOMMIT_NODES, {"metadata": {"name": FIRST}}, manager=AGENT_MANAGER)
        await write_status(client, FIRST)
        now = to_timestamp(time.time())
        lease = {
            "metadata": {"name": FIRST, "labels": HEARTBEAT_LABELS},
            "spec": {
                "holderIdentity": "agent",
                "leaseDurationSeconds": 60,
                "acquireTime": now,
                "renewTime": now,
            },
        }
        await client.create(LEASES, lease, NODE_NAMESPACE)
        await client.close()

    asyncio.run(first())
    names = [f"node-{number:04}" for number in range(1, AGENTS)]
    copy_object(plane, f"/registry/overbook.dev/overcommitnodes/{FIRST}", FIRST, names)
    copy_object(plane, f"/registry/leases/{NODE_NAMESPACE}/{FIRST}", FIRST, names)


def cpu(plane: ControlPlane, name: str) -> float:
    """The CPU seconds of a component so far."""
    with open(f"/proc/{plane.process_ids()[name]}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _writing(
    client: Client, write: Write, every_seconds: float, seconds: float
) -> list[tuple[float, int]]:
    """Write each object in turn, at the rate of all agents; returns the time and size of each write."""
    interval = every_seconds / AGENTS
    began = time.monotonic()
    done: list[tuple[float, int]] = []
    number = 0

    async def some() -> None:
        nonlocal number
        while (due := number * interval) < seconds and time.monotonic() - began < seconds:
            name = f"node-{number % AGENTS:04}"
            number += 1
            await asyncio.sleep(max(0.0, due - (time.monotonic() - began)))
            sent = time.monotonic()
            size = await write(client, name)
            done.append((time.monotonic() - sent, size))

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return done


async def measured(plane: ControlPlane, writes: dict[Write, float], seconds: float) -> Measured:
    """Measure writes, each with its period, while the controller's watches follow them."""
    config = load_config(plane.kubeconfig)
    client = Client(config, turns=2 * AT_ONCE)
    watches = Client(config)
    followed = [
        Reflector(watches, ASKING_NODES),
        Reflector(watches, AGENT_LEASES, namespace=NODE_NAMESPACE, label_selector=HEARTBEAT_SELECTOR),
    ]
    tasks = [asyncio.create_task(each.run()) for each in followed]  # type: ignore[attr-defined] # of two kinds
    for each in followed:
        await each.wait_synced()  # type: ignore[attr-defined]
    await asyncio.sleep(5.0)
    names = ("kube-apiserver", "etcd")
    idle = [cpu(plane, name) for name in names]
    await asyncio.sleep(seconds / 4)
    idle = [(cpu(plane, name) - before) * 4 for name, before in zip(names, idle, strict=True)]
    before = [cpu(plane, name) for name in names]
    stored = etcd_metric(plane, _DB_BYTES)
    began = time.monotonic()
    done = await asyncio.gather(
        *(_writing(client, write, period, seconds) for write, period in writes.items())
    )
    took = time.monotonic() - began
    used = [cpu(plane, name) - start - quiet for name, start, quiet in zip(names, before, idle, strict=True)]
    grown = etcd_metric(plane, _DB_BYTES) - stored
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()
    await watches.close()
    every = sorted(taken for one in done for taken, _ in one)
    return Measured(
        writes=len(every),
        wanted=round(sum(AGENTS / period * seconds for period in writes.values())),
        seconds=seconds if took < seconds * 1.1 else took,
        sent_bytes=sum(size for one in done for _, size in one),
        api_server_cpu=used[0],
        etcd_cpu=used[1],
        etcd_bytes=grown,
        slowest=every[int(len(every) * 0.99)],
    )


def run(quick: bool) -> Iterator[Figure]:
    seconds = QUICK_SECONDS if quick else SECONDS
    try:
        find()
    except SandboxUnavailableError as error:
        print(f"  left out: {error}")
        return
    before: dict[Write, float] = {write_status: STATUS_SECONDS_BEFORE}
    after: dict[Write, float] = {renew: HEARTBEAT_SECONDS, write_status: STATUS_SECONDS}
    for called, writes in (
        ("before: every status each 20 s", before),
        ("Leases, and each status in 300 s", after),
    ):
        with tempfile.TemporaryDirectory() as folder, ControlPlane(folder, components=()) as plane:
            say(f"{called}: {AGENTS} agents")
            install(plane)
            yield from _figures(called, asyncio.run(measured(plane, writes, seconds)))


def _figures(called: str, found: Measured) -> Iterator[Figure]:
    rate = found.wanted / found.seconds
    reached = found.writes / found.wanted
    enough = f"{found.writes:,} of {found.wanted:,} writes in {found.seconds:.0f} s"
    note = enough if reached > 0.97 else f"{enough}: this machine is too slow, costs are extrapolated"
    yield Figure(
        name=f"writes a second ({called})", value=round(rate, 1), unit="/s", command=COMMAND, note=note
    )
    for name, value, unit in (
        ("bodies sent", found.a_second(found.sent_bytes) / 1e3, "kB/s"),
        ("CPU of the API server", found.a_second(found.api_server_cpu), "cores"),
        ("CPU of etcd", found.a_second(found.etcd_cpu), "cores"),
        ("etcd's history of 5 minutes", found.a_second(found.etcd_bytes) * HISTORY_SECONDS / 1e6, "MB"),
        ("the slowest of a hundred writes", found.slowest * 1e3, "ms"),
    ):
        yield Figure(name=f"  {name}", value=float(f"{value:.3g}"), unit=unit, command=COMMAND)


BENCHMARK = Benchmark("scale", "The writes of 5,000 agents on calm nodes", run, by_name_only=True)
