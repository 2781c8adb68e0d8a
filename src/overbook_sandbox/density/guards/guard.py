"""The interface of a guard: who protects the node from being short of memory."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from overbook.core.kubernetes.pod import Pod
from overbook.kernel.cgroup import Cgroup
from overbook_sandbox.density.loads import Load


class GuardNode(msgspec.Struct, frozen=True):
    """The node as a guard finds it.

    Attributes:
        folder: a folder in memory for files.
        memory_bytes: MemTotal.
        swap_bytes: SwapTotal.
        load: the load that is going to run.
    """

    folder: str
    memory_bytes: int
    swap_bytes: int
    load: Load


class StartedPod(msgspec.Struct, frozen=True):
    """A pod whose process has just been forked.

    Attributes:
        name: the pod's name in the load.
        pod: its manifest, with the status that the API would show.
        cgroup: the cgroup of its only container.
        cgroup_path: the absolute path of that cgroup.
        pid: its process.
    """

    name: str
    pod: Pod
    cgroup: Cgroup
    cgroup_path: str
    pid: int


class GuardDecision(msgspec.Struct, frozen=True):
    """A guard has ended a pod, or is about to.

    Attributes:
        pod: the pod's name in the load.
        at_seconds: when it decided so, in monotonic seconds.
        reason: why, in its own words.
    """

    pod: str
    at_seconds: float
    reason: str


class Guard:
    """A guard. A subclass does what it needs to in the node, and stays small: the node has few pages.

    Attributes:
        name: one word, as on the command line.
        title: a few words, for tables.
        swap: whether the node has swap at all.
        cgroup: the cgroup of the guard's processes, below the root; empty: it has none.
        package: the program that must have been fetched, a key of `node_programs.PACKAGES`; empty: none.
        decides: whether it ever ends a pod; otherwise only the kernel does.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    swap: ClassVar[bool] = True
    cgroup: ClassVar[str] = ""
    package: ClassVar[str] = ""
    decides: ClassVar[bool] = False

    @classmethod
    def units(cls) -> dict[str, str]:
        """The units of systemd that are started before the guard, by file name.

        If there are any, systemd is the node's first process.
        """
        return {}

    def prepare(self, node: GuardNode) -> None:
        """Start before all pods. It need not be ready when this returns."""

    def wait(self) -> None:
        """Return when the guard is ready.

        Raises:
            RuntimeError: it does not become ready.
        """

    def pod_started(self, pod: StartedPod) -> None:
        """Take note of a pod."""

    def decisions(self) -> Sequence[GuardDecision]:
        """The decisions since the last call."""
        return ()

    def stop(self) -> dict[str, float]:
        """End all processes, and return figures of the guard's own."""
        return {}

    def recording(self) -> str:
        """The path of a recording that is worth keeping beside the trace; empty: there is none."""
        return ""
