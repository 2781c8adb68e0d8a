import queue
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
import pytest

from overbook_sandbox.machine.errors import NodeError
from overbook_sandbox.machine.node import Machine, NodeResult
from overbook_sandbox.node.guest_link import GuestLink
from overbook_sandbox.node.kubernetes_messages import (
    COMMANDS,
    AnyCommand,
    AnyMessage,
    CommandAnswer,
    Ended,
    NodeReading,
    Read,
    Stop,
    Up,
)

SAMPLE = NodeReading(
    at=1.0,
    mem_total_bytes=1,
    mem_available_bytes=1,
    swap_total_bytes=0,
    swap_free_bytes=0,
    swapped_in_pages=0,
    swapped_out_pages=0,
    full_stall_micros=None,
    pods={},
)


class Inside:
    """A node whose program is played by the test."""

    def __init__(self, answer: Callable[[AnyCommand], AnyMessage | None] = lambda _command: None) -> None:
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.status = 0
        self._answer = answer

    def say(self, message: AnyMessage) -> None:
        self.lines.put(msgspec.json.encode(message).decode())

    def run(self, on_line: Callable[[str], None]) -> NodeResult:
        for line in iter(self.lines.get, None):
            on_line(line)
        return NodeResult(self.status, (), 0.0, 0.0)

    def send(self, line: str) -> None:
        command = COMMANDS.decode(line)
        if isinstance(command, Stop):
            self.lines.put(None)
        elif (answer := self._answer(command)) is not None:
            self.say(answer)

    def stop(self) -> None:
        self.lines.put(None)


@pytest.fixture
def linked() -> Iterator[Callable[[Inside], tuple[GuestLink, list[NodeReading]]]]:
    links: list[GuestLink] = []

    def make(inside: Inside) -> tuple[GuestLink, list[NodeReading]]:
        samples: list[NodeReading] = []
        links.append(GuestLink(cast("Machine", inside), samples.append))
        return links[-1], samples

    yield make
    for link in links:
        link.close()


def test_a_command_gets_its_own_answer(linked: Any) -> None:
    def answer(command: AnyCommand) -> AnyMessage:
        assert isinstance(command, Read)
        return CommandAnswer(at=2.0, number=command.number, contents={command.paths[0]: "text"})

    inside = Inside(answer)
    link, samples = linked(inside)
    inside.say(Up(at=1.0))
    inside.say(SAMPLE)
    link.open(30)
    assert link.ask(Read(number=0, paths=("/a",))).contents == {"/a": "text"}
    assert link.ask(Read(number=0, paths=("/b",))).contents == {"/b": "text"}
    assert samples == [SAMPLE]


def test_a_failed_command_is_an_error(linked: Any) -> None:
    inside = Inside(lambda command: CommandAnswer(at=1.0, number=command.number, error="no such cgroup"))
    link, _ = linked(inside)
    inside.say(Up(at=1.0))
    link.open(30)
    with pytest.raises(NodeError, match="no such cgroup"):
        link.ask(Read(number=0, paths=("/a",)))


def test_a_node_that_ends_shows_its_last_words(linked: Any) -> None:
    inside = Inside()
    link, _ = linked(inside)
    inside.status = 1
    inside.lines.put("Traceback (most recent call last):")
    inside.lines.put("ZeroDivisionError")
    inside.lines.put(None)
    with pytest.raises(NodeError, match=r"ended with status 1(?s:.*)ZeroDivisionError"):
        link.open(30)


def test_a_node_with_failing_programs_is_not_awaited_longer(linked: Any) -> None:
    link, _ = linked(Inside())
    with pytest.raises(NodeError, match=r"waited 0\.1 s for its programs to run"):
        link.open(0.1)


def test_a_services_end_is_known_until_it_is_started_again(linked: Any) -> None:
    inside = Inside()
    link, _ = linked(inside)
    inside.say(Up(at=1.0))
    link.open(30)
    assert link.ended("agent") is None
    inside.say(Ended(at=2.0, name="agent", status=-9))
    assert link.wait_ended("agent", 30) == -9
    link.forget("agent")
    assert link.ended("agent") is None
