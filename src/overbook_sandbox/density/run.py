"""Runs cells on the host: one boot of an emulated node for each."""

import os
import shlex
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from typing import Final

import msgspec

from overbook_sandbox.density import catalog, guards
from overbook_sandbox.density.guards.guard import Guard
from overbook_sandbox.density.judge import cell
from overbook_sandbox.density.loads import Load, jittered
from overbook_sandbox.density.node import disks
from overbook_sandbox.density.result import Cell, Setup
from overbook_sandbox.density.trace import End, Left, Message, Order, PhaseBegun, TracePoint
from overbook_sandbox.machine.cache import cache_folder
from overbook_sandbox.machine.errors import SandboxError
from overbook_sandbox.machine.image import Image
from overbook_sandbox.machine.job import Job
from overbook_sandbox.machine.node import Machine
from overbook_sandbox.machine.spec import MEBIBYTE, MachineSpec
from overbook_sandbox.machine.systemd_boot import systemd_job

MORE_SECONDS: Final = 600.0
"""The time limit of a node beside the event's length: a node on a busy host is slow."""
_DECODER: Final = msgspec.json.Decoder(Message)
_TAIL_LINES: Final = 20


class Played(msgspec.Struct):
    """What a node sent.

    Attributes:
        points: the trace.
        left: the pods that left.
        phases: the phases.
        end: the end; None: it did not come.
        other: the last lines that are no messages.
        recording: the guard's own recording; empty: it has none.
    """

    points: list[TracePoint]
    left: list[Left]
    phases: list[PhaseBegun]
    end: End | None
    other: deque[str]
    recording: bytes = b""

    def take(self, line: str) -> None:
        """Take a line of the node's output."""
        try:
            message = _DECODER.decode(line)
        except msgspec.MsgspecError:
            self.other.append(line)
            return
        match message:
            case TracePoint():
                self.points.append(message)
            case Left():
                self.left.append(message)
            case PhaseBegun():
                self.phases.append(message)
            case End():
                self.end = message


def order_of(load: Load, guard: type[Guard]) -> Order:
    """What the node has to play for a load under a guard."""
    flooded = any(type(act).__name__ == "FloodCache" for pod in load.pods for act in pod.acts)
    if guard is guards.BASELINE:
        load = _alone(load)
    return Order(load=load, guard=guard.name, swap=guard.swap, flooded=flooded)


def _alone(load: Load) -> Load:
    innocent = tuple(pod for pod in load.pods if pod.name in load.innocent)
    return msgspec.structs.replace(load, pods=innocent, guilty=(), must_go=0)


def spec_of(order: Order, cpus: int, *, much_memory: bool) -> MachineSpec:
    """The node for a load.

    Args:
        order: what is played.
        cpus: its CPUs.
        much_memory: whether it has so much RAM that nothing is short.
    """
    load = order.load
    needs_disk = (order.swap and load.disk != "zram") or order.flooded
    memory_mib = load.memory_mib + (load.swap_mib + 1024 if much_memory else 0)
    return MachineSpec(
        memory_bytes=memory_mib * MEBIBYTE,
        swap_bytes=disks.parts(load.swap_mib, order.flooded) * MEBIBYTE if needs_disk else 0,
        swap_on=False,
        cpus=cpus,
        counted_clock=cpus == 1,  # a kernel with several CPUs does not boot so
        timeout_seconds=load.event_seconds + MORE_SECONDS,
    )


class Runner:
    """Runs cells.

    Args:
        image: the image of the nodes.
        folder: a folder for the nodes' orders.
        traces: the folder for traces; empty: they are not kept.
    """

    def __init__(self, image: Image, folder: str, traces: str = "") -> None:
        self._image = image
        self._folder = folder
        self._traces = traces
        self._machines: set[Machine] = set()

    def run(self, setup: Setup, alone: Cell | None) -> Cell:
        """Run one cell of the catalogue; see `play`."""
        return self.play(setup, jittered(catalog.find(setup.load), setup.seed + setup.run), alone)

    def play(self, setup: Setup, load: Load, alone: Cell | None) -> Cell:
        """Run one cell of a load that need not be in the catalogue.

        Args:
            setup: which.
            load: the load, with its chance already in it.
            alone: the innocent pods' run alone; None: there is none.

        Raises:
            SandboxError: the node failed, or its program did.
        """
        begun = time.monotonic()
        guard = guards.find(setup.guard)
        order = order_of(load, guard)
        played = self._play(order, spec_of(order, setup.cpus, much_memory=guard is guards.BASELINE))
        if played.end is None:
            raise SandboxError("the node ended before its load was over")
        made = cell(setup, load, played.points, played.left, played.end, alone, time.monotonic() - begun)
        self._keep_trace(setup, played)
        return msgspec.structs.replace(made, host_load=round(os.getloadavg()[0], 1))

    def stop(self) -> None:
        """End all nodes."""
        for machine in tuple(self._machines):
            machine.stop()

    def _play(self, order: Order, spec: MachineSpec) -> Played:
        played = Played([], [], [], None, deque(maxlen=_TAIL_LINES))
        with tempfile.TemporaryDirectory(dir=self._folder) as share:
            path = os.path.join(share, "order.json")
            with open(path, "wb") as file:
                file.write(msgspec.json.encode(order))
            machine = Machine(self._image, spec, _job(path, share, guards.find(order.guard)))
            self._machines.add(machine)
            try:
                result = machine.run(played.take)
            finally:
                self._machines.discard(machine)
            with suppress(FileNotFoundError), open(os.path.join(share, "recording.jsonl"), "rb") as recording:
                played.recording = recording.read()
        if result.exit_status or played.end is None:
            lines = played.other or result.console_tail[-_TAIL_LINES:]
            shown = "".join(f"\n  {line}" for line in lines)
            raise SandboxError(f"the node's program ended with exit status {result.exit_status}{shown}")
        return played

    def _keep_trace(self, setup: Setup, played: Played) -> None:
        if not self._traces:
            return
        os.makedirs(self._traces, exist_ok=True)
        name = f"{setup.load}-{setup.guard}-{setup.cpus}-{setup.seed}-{setup.run}"
        if played.recording:
            with open(os.path.join(self._traces, f"{name}.recording.jsonl"), "wb") as file:
                file.write(played.recording)
        with open(os.path.join(self._traces, f"{name}.jsonl"), "wb") as file:
            messages = (*played.phases, *played.points, *played.left, played.end)
            file.writelines(msgspec.json.encode(message) + b"\n" for message in messages)


def _job(order_path: str, share: str, guard: type[Guard]) -> Job:
    argv = (sys.executable, "-m", "overbook_sandbox.density.node.guest", order_path)
    units = guard.units()
    if units:
        return systemd_job(f"exec {shlex.join(argv)}\n", share, units)
    environment = {"OVERBOOK_CACHE": cache_folder(os.environ)}  # modules of the node's kernel, programs
    return Job(argv=argv, share=share, environment=environment, directory=share)
