"""The host's end of the connection to a Kubernetes node: commands go in, answers and samples come out."""

import itertools
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from overbook_sandbox.machine.errors import NodeError
from overbook_sandbox.machine.node import Machine
from overbook_sandbox.node.kubernetes_messages import (
    MESSAGES,
    AnyMessage,
    CommandAnswer,
    Ended,
    GuestCommand,
    NodeReading,
    Stop,
    Up,
)

OnSample = Callable[[NodeReading], None]

ANSWER_SECONDS: Final = 120.0
"""The time limit of an answer in addition to the command's own time, since a thrashing node is slow."""

_STRANGE_LINES: Final = 40
_STOP_SECONDS: Final = 10.0


class GuestLink:
    """A node that runs in its own thread, and the connection to the program in it.

    Args:
        node: The node, not run yet; its job is :mod:`overbook_sandbox.node.kubernetes_guest`.
        on_sample: Receives each sample, in the node's thread.
    """

    def __init__(self, node: Machine, on_sample: OnSample) -> None:
        self._node = node
        self._on_sample = on_sample
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._up = False
        self._answers: dict[int, CommandAnswer] = {}
        self._ended: dict[str, int] = {}
        self._end: str | None = None
        self._strange: deque[str] = deque(maxlen=_STRANGE_LINES)
        self._thread = threading.Thread(target=self._run, name="kubernetes-node", daemon=True)

    def open(self, seconds: float) -> None:
        """Boot the node and wait until its programs run.

        Raises:
            NodeError: The programs did not run in time, or the node ended.
        """
        self._thread.start()
        self._wait(lambda: self._up, seconds, "its programs to run")

    def ask(self, command: GuestCommand, seconds: float = 0.0) -> CommandAnswer:
        """Send a command and wait for the answer.

        Args:
            command: The command, whose number is set here.
            seconds: The command's own time limit.

        Raises:
            NodeError: The command failed, or the node does not answer.
        """
        number = next(self._numbers)
        self._node.send(msgspec.json.encode(msgspec.structs.replace(command, number=number)).decode())
        self._wait(lambda: number in self._answers, ANSWER_SECONDS + seconds, f"an answer to {command}")
        answer = self._answers.pop(number)
        if answer.error:
            raise NodeError(f"the node could not do {command}: {answer.error}")
        return answer

    def ended(self, service: str) -> int | None:
        """The last exit status of a service; None if it never ended."""
        with self._changed:
            return self._ended.get(service)

    def forget(self, service: str) -> None:
        """Forget a service's exit status, before it is started again."""
        with self._changed:
            self._ended.pop(service, None)

    def wait_ended(self, service: str, seconds: float) -> int:
        """Wait for a service's end. Returns its exit status, negative for a signal's number."""
        self._wait(lambda: service in self._ended, seconds, f"the end of {service}")
        return self._ended[service]

    def close(self) -> None:
        """End the node, orderly if it still reads commands."""
        if self._thread.ident is None:
            return
        if self._thread.is_alive():
            try:
                self._node.send(msgspec.json.encode(Stop(number=0)).decode())
                self._thread.join(_STOP_SECONDS)
            except NodeError:
                pass
        self._node.stop()
        self._thread.join()

    def _run(self) -> None:
        end = "the node was stopped"
        try:
            result = self._node.run(self._take)
            if result.exit_status:
                end = f"the program in the node ended with status {result.exit_status}"
        except Exception as error:  # noqa: BLE001 - any error is reported to the waiting caller
            end = str(error)
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def _take(self, line: str) -> None:
        try:
            message: AnyMessage = MESSAGES.decode(line)
        except msgspec.DecodeError:  # such as a traceback
            self._strange.append(line)
            return
        if isinstance(message, NodeReading):
            self._on_sample(message)
            return
        with self._changed:
            match message:
                case Up():
                    self._up = True
                case CommandAnswer():
                    self._answers[message.number] = message
                case Ended():
                    self._ended[message.name] = message.status
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        with self._changed:
            if self._changed.wait_for(lambda: condition() or self._end is not None, seconds) and condition():
                return
            problem = self._end or f"waited {seconds:g} s for {what}"
        raise NodeError(problem, tuple(self._strange))
