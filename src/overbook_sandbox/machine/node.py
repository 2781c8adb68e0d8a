"""One boot of an emulated node, in which a command runs as root; its output is returned line by line."""

import os
import secrets
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from overbook_sandbox.machine.emulator import Emulator, emulator
from overbook_sandbox.machine.errors import NodeError, NodeStoppedError
from overbook_sandbox.machine.image import Image, prepare
from overbook_sandbox.machine.job import Job
from overbook_sandbox.machine.output import OutputReader, OutputSplitter
from overbook_sandbox.machine.spec import MachineSpec

OnLine = Callable[[str], None]
OnStart = Callable[[float], None]

_CONSOLE_TAIL_LINES = 80


class NodeResult(msgspec.Struct, frozen=True):
    """The result of a job.

    Attributes:
        exit_status: The exit status, 0 to 255; above 128 the job was ended by a signal.
        console_tail: The console's last lines, oldest first, such as kernel warnings.
        boot_seconds: The time from the emulator's start to the job's start.
        run_seconds: The time from the job's start to its end.
    """

    exit_status: int
    console_tail: tuple[str, ...]
    boot_seconds: float
    run_seconds: float


class Machine:
    """An emulated node for one job. Several can run at the same time, each in its own thread.

    Args:
        image: The image to boot.
        spec: The node.
        job: The command.
    """

    def __init__(self, image: Image, spec: MachineSpec, job: Job) -> None:
        self._image = image
        self._spec = spec
        self._job = job
        self._marker = f"overbook-{secrets.token_hex(8)}"
        self._output = OutputReader(self._marker)
        self._console = OutputSplitter()
        self._console_tail: deque[str] = deque(maxlen=_CONSOLE_TAIL_LINES)
        self._running: Emulator | None = None
        self._stop_requested = threading.Event()
        self._stop_reader, self._stop_writer = os.pipe()

    def __del__(self) -> None:
        os.close(self._stop_reader)
        os.close(self._stop_writer)

    def run(self, on_line: OnLine, on_start: OnStart | None = None) -> NodeResult:
        """Boot, run the job, and power off. It may be called only once.

        Args:
            on_line: Receives each line of the job's output without its end. An exception in it ends the node
                and is raised.
            on_start: Receives the duration of the boot in seconds when the job starts.

        Raises:
            NodeError: The node did not boot, crashed, or took too long.
            NodeStoppedError: `stop` was called.
            SandboxError: The job is invalid.
        """
        begun = time.monotonic()
        started: float | None = None
        deadline = begun + self._spec.boot_timeout_seconds
        with (
            emulator(self._image, self._spec, self._job, self._marker) as running,
            self._channels(running) as channels,
        ):
            self._running = running
            while self._output.exit_status is None:
                for line in self._next_lines(channels, deadline):
                    on_line(line)
                if started is None and self._output.started:
                    started = time.monotonic()
                    deadline = started + self._spec.timeout_seconds
                    if on_start is not None:
                        on_start(started - begun)
        ended = time.monotonic()
        started = ended if started is None else started
        return NodeResult(
            exit_status=self._output.exit_status,
            console_tail=tuple(self._console_tail),
            boot_seconds=started - begun,
            run_seconds=ended - started,
        )

    def send(self, line: str) -> None:
        """Send a line to a job that takes input; call it from one thread only, while the node runs.

        Raises:
            NodeError: The node does not run.
        """
        try:
            if self._running is None:
                raise BrokenPipeError
            self._running.output.sendall(line.encode() + b"\n")
        except OSError as error:
            raise NodeError("the node does not run, so it takes no input") from error

    def stop(self) -> None:
        """End the node at once; `run` then raises in its thread."""
        self._stop_requested.set()
        os.write(self._stop_writer, b"\0")

    @contextmanager
    def _channels(self, running: Emulator) -> Iterator[selectors.BaseSelector]:
        with selectors.DefaultSelector() as channels:
            channels.register(running.output, selectors.EVENT_READ, "output")
            channels.register(self._stop_reader, selectors.EVENT_READ, "stop")
            if running.process.stdout is not None:
                channels.register(running.process.stdout, selectors.EVENT_READ, "console")
            yield channels

    def _next_lines(self, channels: selectors.BaseSelector, deadline: float) -> Iterator[str]:
        """Wait for the next data from the node and yield the job's lines in it."""
        ready = channels.select(max(0.0, deadline - time.monotonic()))
        if self._stop_requested.is_set():
            raise NodeStoppedError("the node was stopped")
        if time.monotonic() >= deadline:
            raise self._failure(self._timed_out())
        for key, _ in ready:
            data = os.read(key.fd, 1 << 16)
            if not data:
                channels.unregister(key.fileobj)
            elif key.data == "console":
                self._console_tail.extend(line for line in self._console.feed(data) if line)
            else:
                yield from self._output.feed(data)
        # Both channels must end, so that the message has the console's last lines.
        if (
            all(key.data == "stop" for key in channels.get_map().values())
            and self._output.exit_status is None
        ):
            raise self._failure(self._died())

    def _timed_out(self) -> str:
        if self._output.started:
            return f"the command in the node did not end within {self._spec.timeout_seconds:g} s"
        return f"the node did not boot within {self._spec.boot_timeout_seconds:g} s"

    def _died(self) -> str:
        if self._output.started:
            return "the node ended before its command"
        return "the node did not boot"

    def _failure(self, problem: str) -> NodeError:
        unfinished = self._console.rest()
        return NodeError(problem, (*self._console_tail, *([unfinished] if unfinished else ())))


def run_in_node(
    spec: MachineSpec,
    argv: Sequence[str],
    *,
    share: str,
    environment: Mapping[str, str],
    on_line: OnLine,
    directory: str | None = None,
    image: Image | None = None,
) -> NodeResult:
    """Boot a node, run one command in it as root, and power off.

    The node sees the host's files at the same paths. Its writes stay in its memory and are lost, except under
    `share`.

    Args:
        spec: The node.
        argv: The command.
        share: A folder of the host in which the command may write.
        environment: The command's variables; nothing is inherited.
        on_line: Receives each line of the command's output.
        directory: The working directory; default: `share`.
        image: The image to boot; default: one with the kernel of `spec`.

    Raises:
        NodeError: The node did not boot, crashed, or took too long.
        SandboxError: The node or its command cannot be started.
    """
    job = Job(argv=tuple(argv), share=share, environment=environment, directory=directory or share)
    return Machine(image or prepare(kernel=spec.kernel), spec, job).run(on_line)
