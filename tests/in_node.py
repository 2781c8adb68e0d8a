"""Tests marked `node` run inside an emulated node, and the host's session reports them as its own.

The tests of one kind of node are handed to one pytest in one boot of it. That pytest sends its reports back
among its output; here each waits until its test's turn in the host's session. The node boots when the first
of its tests is to run.
"""

import ast
import os
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import msgspec
import pytest

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes import quantity
from overbook_sandbox.machine.cache import cache_folder
from overbook_sandbox.machine.errors import NodeStoppedError, SandboxError, SandboxUnavailableError
from overbook_sandbox.machine.image import prepare
from overbook_sandbox.machine.job import Job
from overbook_sandbox.machine.node import Machine
from overbook_sandbox.machine.spec import Kernel, MachineSpec
from tests import guest_reporter
from tests.lanes import unit_of

_OUTPUT_TAIL_LINES = 60

_CGROUP_VERSIONS = {"v1": 1, "v2": 2}


def spec_of(marker: pytest.Mark) -> MachineSpec:
    """Read `@pytest.mark.node(memory="1Gi", swap="1Gi", cpus=1, psi=True, cgroup="v2")`.

    Further arguments are `kernel="older"` or `"newer"`, and `boot="WORD WORD"` for the kernel's command line.

    Raises:
        InvalidInput: An argument is unknown or wrong.
    """
    arguments = {"memory": "1Gi", "swap": "1Gi", "cpus": 1, "psi": True, "cgroup": "v2"}
    arguments |= {"kernel": "stable", "boot": ""}
    unknown = [*marker.args, *(set(marker.kwargs) - set(arguments))]
    if unknown:
        raise InvalidInput("mark.node", unknown[0], f"keyword arguments out of {', '.join(arguments)}")
    chosen: dict[str, Any] = {**arguments, **marker.kwargs}
    if chosen["cgroup"] not in _CGROUP_VERSIONS:
        raise InvalidInput("mark.node: cgroup", chosen["cgroup"], 'one of "v1" and "v2"')
    if chosen["kernel"] not in get_args(Kernel):
        raise InvalidInput("mark.node: kernel", chosen["kernel"], f"one of {', '.join(get_args(Kernel))}")
    return MachineSpec(
        kernel=chosen["kernel"],
        memory_bytes=_size("memory", chosen["memory"]),
        swap_bytes=_size("swap", chosen["swap"]),
        cpus=chosen["cpus"],
        psi=chosen["psi"],
        cgroup_version=1 if chosen["cgroup"] == "v1" else 2,
        kernel_arguments=tuple(chosen["boot"].split()),
    )


def _size(argument: str, text: str) -> int:
    try:
        return quantity.parse(text).value()
    except InvalidInput as error:
        raise error.inside(f"mark.node: {argument}") from error


def describe(spec: MachineSpec) -> str:
    """The node in a few words."""
    words = [f"{quantity.binary(spec.memory_bytes)} memory", f"{quantity.binary(spec.swap_bytes)} swap"]
    words += [f"{spec.cpus} CPUs"] if spec.cpus > 1 else []
    words += [] if spec.psi else ["no PSI"]
    words += ["cgroup v1"] if spec.cgroup_version == 1 else []
    words += [] if spec.kernel == "stable" else [f"kernel {spec.kernel}"]
    words += spec.kernel_arguments
    return ", ".join(words)


class Ending(NamedTuple):
    """Why a node has no more reports to give.

    Attributes:
        text: What happened, with the last lines of what the node said.
        unavailable: Whether there was no node at all because this host cannot have one.
    """

    text: str
    unavailable: bool = False


class Batch:
    """The tests of one kind of node, and the reports that have come back so far."""

    def __init__(self, spec: MachineSpec) -> None:
        self.spec = spec
        self.items: list[pytest.Item] = []
        self._changed = threading.Condition()
        self._reports: dict[str, list[dict[str, Any]]] = {}
        self._finished: set[str] = set()
        self._ending: Ending | None = None
        self._output: deque[str] = deque(maxlen=_OUTPUT_TAIL_LINES)
        self._current: str | None = None
        self._explained = False

    def take_line(self, line: str) -> None:
        """Take a line of the node's output: a message, or what its pytest prints."""
        printed, mark, message = line.partition(guest_reporter.MARK)
        with self._changed:
            if mark:
                self._take_message(ast.literal_eval(message))
            else:
                self._output.append(printed)
            self._changed.notify_all()

    def end(self, reason: str, *, unavailable: bool = False) -> None:
        """Say that no more reports will come."""
        with self._changed:
            text = "\n".join([reason, *(f"  {line}" for line in self._output)])
            self._ending = Ending(text, unavailable)
            self._changed.notify_all()

    def wait(self, nodeid: str) -> tuple[list[dict[str, Any]], Ending | None]:
        """Wait for a test's reports.

        Returns:
            Its reports, and how the node ended where that came before the last of them.
        """
        with self._changed:
            self._changed.wait_for(lambda: nodeid in self._finished or self._ending is not None)
            reports = self._reports.get(nodeid, [])
            return reports, None if nodeid in self._finished else self._ending

    def explain(self, nodeid: str, ending: Ending) -> str:
        """Why a test has no result: the node's last lines for the first one, a sentence for the others."""
        text = ending.text.partition("\n")[0] if self._explained else ending.text
        self._explained = True
        return f"the node ended in the middle of this test: {text}" if nodeid == self._current else text

    def _take_message(self, message: dict[str, Any]) -> None:
        nodeid = message["nodeid"]
        match message["kind"]:
            case "start":
                self._current = nodeid
            case "report":
                self._reports.setdefault(nodeid, []).append(message["report"])
            case "finish":
                self._finished.add(nodeid)
                self._current = None


class Running:
    """A batch in its node, in a thread.

    Args:
        batch: The tests.
        run_batch: Boots the node and runs them in it.
    """

    def __init__(self, batch: Batch, run_batch: "Callable[[Batch, Running], None]") -> None:
        self.batch = batch
        self._run_batch = run_batch
        self._node: Machine | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="node")
        self._thread.start()

    def run(self, node: Machine, on_start: Callable[[float], None]) -> None:
        """Boot the node, and give what it prints to the batch, to its end."""
        self._node = node
        if not self._stopping.is_set():
            node.run(self.batch.take_line, on_start)

    def stop(self) -> None:
        """End the node if it runs still, and wait for that."""
        self._stopping.set()
        if self._node is not None:
            self._node.stop()
        self._thread.join()

    def _work(self) -> None:
        reason, unavailable = "the node's pytest ended without a report of this test", False
        try:
            self._run_batch(self.batch, self)
        except SandboxUnavailableError as error:
            reason, unavailable = str(error), True
        except NodeStoppedError:
            reason = "the session ended first"
        except SandboxError as error:
            reason = str(error)
        finally:  # a test must never wait for ever, whatever went wrong
            self.batch.end(reason, unavailable=unavailable)


class NodeTests:
    """The host's part: starts the nodes and reports their tests.

    Args:
        config: The session's configuration.
        add_time: Receives the name and seconds of each boot.
    """

    def __init__(self, config: pytest.Config, add_time: Callable[[str, float], None]) -> None:
        self._config = config
        self._add_time = add_time
        self._batch_of: dict[str, Batch] = {}
        self._running: Running | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        batches: dict[tuple[str, MachineSpec], Batch] = {}
        for item in items:
            marker = item.get_closest_marker("node")
            if marker is None:
                continue
            try:
                spec = spec_of(marker)
            except InvalidInput as error:
                raise pytest.UsageError(f"{item.nodeid}: {error}") from error
            batch = batches.setdefault((unit_of(item.nodeid), spec), Batch(spec))
            batch.items.append(item)
            self._batch_of[item.nodeid] = batch
        rest = [item for item in items if item.nodeid not in self._batch_of]
        items[:] = [*rest, *(item for batch in batches.values() for item in batch.items)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        batch = self._batch_of.get(item.nodeid)
        if batch is None:
            return None
        self._boot(batch)
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports, ending = batch.wait(item.nodeid)
        for data in reports:
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
            hook.pytest_runtest_logreport(report=report)
        if ending is not None:
            text = batch.explain(item.nodeid, ending)
            report = _report_without_node(item, text, skipped=ending.unavailable)
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        # What a test before this one set up here for its module is not needed by what comes after.
        item.session._setupstate.teardown_exact(nextitem)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        if self._running is not None:
            self._running.stop()

    def _boot(self, batch: Batch) -> None:
        """Start the batch's node, unless it runs already. The one before has given all its reports."""
        if self._running is not None and self._running.batch is batch:
            return
        if self._running is not None:
            self._running.stop()
        self._running = Running(batch, self._run_batch)

    def _run_batch(self, batch: Batch, running: "Running") -> None:
        image = prepare(kernel=batch.spec.kernel)
        timeout_seconds = guest_reporter.TEST_TIMEOUT_SECONDS * (1 + len(batch.items))
        spec = msgspec.structs.replace(batch.spec, timeout_seconds=timeout_seconds)
        with tempfile.TemporaryDirectory(prefix="overbook-tests-") as share:
            job = Job(
                argv=self._argv(batch),
                share=share,
                environment={**guest_reporter.ENVIRONMENT, "OVERBOOK_CACHE": cache_folder(os.environ)},
                directory=str(self._config.rootpath),
            )
            running.run(
                Machine(image, spec, job),
                lambda seconds: self._add_time(f"booting a node ({describe(spec)})", seconds),
            )

    def _argv(self, batch: Batch) -> tuple[str, ...]:
        options = self._config.option
        return (
            *("/bin/sh", "-c", f'exec "$@" {guest_reporter.DESCRIPTOR}>&1', "sh"),
            *(sys.executable, "-m", "pytest", "-q", "--no-header", "--no-summary", f"--tb={options.tbstyle}"),
            *(("--showlocals",) if options.showlocals else ()),
            *("-p", "no:cacheprovider"),
            *(item.nodeid for item in batch.items),
        )


def _report_without_node(item: pytest.Item, text: str, *, skipped: bool) -> pytest.TestReport:
    path, line, _ = item.location
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="skipped" if skipped else "failed",
        longrepr=(path, line or 0, text) if skipped else text,
        when="call",
    )
