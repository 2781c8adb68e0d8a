"""What a Kubernetes node in the emulator and its owner on the host tell each other, a line of JSON each."""

from typing import Final

import msgspec

RUNTIME_SCORE: Final = -999
"""`oom_score_adj` of the kubelet and of containerd, as their own units set it."""
PACE_FILE: Final = "/pace"
"""Where a load program counts its work, in the root of its container."""


class GuestCommand(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """Something to do in the node; `number` comes back in the answer."""

    number: int


class Run(GuestCommand, frozen=True, kw_only=True, tag="run"):
    """Run a program to its end.

    Attributes:
        argv: Its path and arguments.
        environment: Variables beside the node's own.
        seconds: After which it is ended.
    """

    argv: tuple[str, ...]
    environment: dict[str, str] = {}
    seconds: float = 60.0


class Start(GuestCommand, frozen=True, kw_only=True, tag="start"):
    """Start a service: a program in a cgroup of its own, `system.slice/NAME.service`, its log in the share.

    Attributes:
        name: Of the service.
        argv: Its path and arguments.
        environment: Variables beside the node's own.
        oom_score_adj: How willingly the kernel's OOM killer takes it, -1000 to 1000.
    """

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str] = {}
    oom_score_adj: int = 0


class Signal(GuestCommand, frozen=True, kw_only=True, tag="signal"):
    """Send a signal to every process below a cgroup.

    Attributes:
        cgroup: Relative to the cgroup root.
        signal: Its number.
    """

    cgroup: str
    signal: int


class Read(GuestCommand, frozen=True, kw_only=True, tag="read"):
    """Read files, such as those of a cgroup.

    Attributes:
        paths: Absolute.
    """

    paths: tuple[str, ...]


class Stop(GuestCommand, frozen=True, kw_only=True, tag="stop"):
    """End everything, which powers the machine off."""


AnyCommand = Run | Start | Signal | Read | Stop


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Something that the node says. `at` is in seconds of the node's monotonic clock."""

    at: float


class Up(Message, frozen=True, kw_only=True, tag="up"):
    """containerd and the kubelet run and the image is there; the kubelet has yet to register the node."""


class CommandAnswer(Message, frozen=True, kw_only=True, tag="answer"):
    """How a command ended.

    Attributes:
        number: The command's.
        error: Why it could not be done; empty where it was.
        status: A program's exit status, negative for a signal; a service's process id.
        output: A program's output.
        contents: What was read, by path; None where there is no such file.
    """

    number: int
    error: str = ""
    status: int = 0
    output: str = ""
    contents: dict[str, str | None] = {}


class Ended(Message, frozen=True, kw_only=True, tag="ended"):
    """A service has ended; a negative status is a signal's number."""

    name: str
    status: int


class Work(msgspec.Struct, frozen=True):
    """The paced work of a load program: units done, and when the last one was, by the node's clock."""

    units: int
    last_at: float


class ContainerReading(msgspec.Struct, frozen=True, kw_only=True):
    """A container at one moment; `memory_swap_max` is None where it is unlimited."""

    memory_current_bytes: int
    memory_swap_current_bytes: int
    memory_swap_max_bytes: int | None = None
    oom_kills: int = 0
    work: Work | None = None


class NodeReading(Message, frozen=True, kw_only=True, tag="sample"):
    """What the kernel counts.

    Attributes:
        mem_total_bytes: RAM.
        mem_available_bytes: What can be had without swapping, as the kernel estimates it.
        swap_total_bytes: All swap areas.
        swap_free_bytes: What of that is free.
        swapped_in_pages: Since boot.
        swapped_out_pages: Since boot.
        full_stall_micros: PSI `full total` of memory, since boot; None without PSI.
        pods: By pod uid, then by container id, the pod's sandbox among them.
    """

    mem_total_bytes: int
    mem_available_bytes: int | None
    swap_total_bytes: int
    swap_free_bytes: int
    swapped_in_pages: int
    swapped_out_pages: int
    full_stall_micros: int | None
    pods: dict[str, dict[str, ContainerReading]]


AnyMessage = Up | CommandAnswer | Ended | NodeReading

COMMANDS: Final[msgspec.json.Decoder[AnyCommand]] = msgspec.json.Decoder(AnyCommand)
MESSAGES: Final[msgspec.json.Decoder[AnyMessage]] = msgspec.json.Decoder(AnyMessage)


class GuestPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the program in the node has to bring up, in that order.

    Attributes:
        containerd: Command line.
        socket: Where containerd then listens.
        import_image: Command line that gives it the image.
        kubelet: Command line.
        sample_seconds: Time between two samples.
    """

    containerd: tuple[str, ...]
    socket: str
    import_image: tuple[str, ...]
    kubelet: tuple[str, ...]
    sample_seconds: float
