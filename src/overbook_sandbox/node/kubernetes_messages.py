"""The messages between the host and a Kubernetes node in the emulator, each a line of JSON."""

from typing import Final

import msgspec

RUNTIME_SCORE: Final = -999
"""The `oom_score_adj` of the kubelet and of containerd, as in their usual units."""
PACE_FILE: Final = "/pace"
"""The file in the container's root in which a load program counts its work."""


class GuestCommand(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """A command for the node; the answer has the same `number`."""

    number: int


class Run(GuestCommand, frozen=True, kw_only=True, tag="run"):
    """Run a program to its end.

    Attributes:
        argv: The program's path and arguments.
        environment: Variables in addition to the node's own.
        seconds: The time limit.
    """

    argv: tuple[str, ...]
    environment: dict[str, str] = {}
    seconds: float = 60.0


class Start(GuestCommand, frozen=True, kw_only=True, tag="start"):
    """Start a service: a program in the cgroup `system.slice/NAME.service`, with its log in the share.

    Attributes:
        name: The service's name.
        argv: The program's path and arguments.
        environment: Variables in addition to the node's own.
        oom_score_adj: The score for the OOM killer, -1000 to 1000.
    """

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str] = {}
    oom_score_adj: int = 0


class Signal(GuestCommand, frozen=True, kw_only=True, tag="signal"):
    """Send a signal to every process below a cgroup.

    Attributes:
        cgroup: The cgroup's path, relative to the cgroup root.
        signal: The signal's number.
    """

    cgroup: str
    signal: int


class Read(GuestCommand, frozen=True, kw_only=True, tag="read"):
    """Read files, such as those of a cgroup.

    Attributes:
        paths: The absolute paths.
    """

    paths: tuple[str, ...]


class Stop(GuestCommand, frozen=True, kw_only=True, tag="stop"):
    """End the program in the node, which powers the machine off."""


AnyCommand = Run | Start | Signal | Read | Stop


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """A message from the node. `at` is in seconds of the node's monotonic clock."""

    at: float


class Up(Message, frozen=True, kw_only=True, tag="up"):
    """containerd and the kubelet run, and the image is loaded; the node is not registered yet."""


class CommandAnswer(Message, frozen=True, kw_only=True, tag="answer"):
    """The answer to a command.

    Attributes:
        number: The command's number.
        error: Why the command failed; empty if it succeeded.
        status: A program's exit status, negative for a signal; a service's process id.
        output: A program's output.
        contents: The contents of files by path; None if there is no such file.
    """

    number: int
    error: str = ""
    status: int = 0
    output: str = ""
    contents: dict[str, str | None] = {}


class Ended(Message, frozen=True, kw_only=True, tag="ended"):
    """A service has ended; a negative status means the number of a signal."""

    name: str
    status: int


class Work(msgspec.Struct, frozen=True):
    """The regular work of a load program: the number of units, and the time of the last one."""

    units: int
    last_at: float


class ContainerReading(msgspec.Struct, frozen=True, kw_only=True):
    """The values of a container at one moment; `memory_swap_max_bytes` is None if there is no limit.

    What is in the swap cache is in RAM and in swap, and is counted in both.
    """

    memory_current_bytes: int
    memory_swap_current_bytes: int
    swap_cached_bytes: int = 0
    memory_swap_max_bytes: int | None = None
    oom_kills: int = 0
    work: Work | None = None


class NodeReading(Message, frozen=True, kw_only=True, tag="sample"):
    """A sample of the kernel's values.

    Attributes:
        mem_total_bytes: RAM.
        mem_available_bytes: The memory that is available without swapping, as the kernel estimates it.
        swap_total_bytes: The size of all swap areas.
        swap_free_bytes: The free part of swap.
        swapped_in_pages: Pages swapped in since boot.
        swapped_out_pages: Pages swapped out since boot.
        full_stall_micros: PSI `full total` of memory since boot; None without PSI.
        pods: The containers by pod uid and container id, including the pod's sandbox.
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
    """The programs that the program in the node starts, in this order.

    Attributes:
        containerd: The command line of containerd.
        socket: The socket on which containerd listens.
        import_image: The command line that imports the image.
        kubelet: The command line of the kubelet.
        sample_seconds: The time between two samples.
    """

    containerd: tuple[str, ...]
    socket: str
    import_image: tuple[str, ...]
    kubelet: tuple[str, ...]
    sample_seconds: float
