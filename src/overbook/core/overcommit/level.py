"""The overcommit level, limits as a percentage of requests: of a container, a pod, a namespace, a node.

1Gi requested and 2Gi as limit is 200 %. Source: *Configuring the cluster to place pods on overcommitted
nodes* 6.5.2 (the level) and 6.5.4 (when a node is overcommitted).
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.resolved import ResolvedPod
from overbook.core.kubernetes.resources import CPU, MEMORY, Amounts, Resources

Undefined = Literal["NoRequest", "NoLimit"]
Cause = Literal["PodMakesNoRequest", "LimitsExceedCapacity"]


class Level(msgspec.Struct, frozen=True, gc=False):
    """How much one resource is overcommitted.

    Attributes:
        requested: the sum of requests, defaulted from limits, in milli-CPU or bytes.
        limited: the sum of the limits that there are, in milli-CPU or bytes.
        without_request: how many of the containers or pods request nothing.
        without_limit: how many of them have no limit, or contain a container without one.
    """

    requested: int = 0
    limited: int = 0
    without_request: int = 0
    without_limit: int = 0

    def __add__(self, other: "Level") -> "Level":
        return Level(
            self.requested + other.requested,
            self.limited + other.limited,
            self.without_request + other.without_request,
            self.without_limit + other.without_limit,
        )

    def __sub__(self, other: "Level") -> "Level":
        return Level(
            self.requested - other.requested,
            self.limited - other.limited,
            self.without_request - other.without_request,
            self.without_limit - other.without_limit,
        )

    @property
    def undefined(self) -> Undefined | None:
        """Why there is no level: a limit is missing, or nothing is requested."""
        if self.without_limit:
            return "NoLimit"
        return None if self.requested else "NoRequest"

    @property
    def percent(self) -> int | None:
        """Limits as a percentage of requests, rounded down; ``None`` where :attr:`undefined` says why."""
        return None if self.undefined else self.limited * 100 // self.requested


class Levels(msgspec.Struct, frozen=True, gc=False):
    """The levels of CPU and memory."""

    cpu: Level = Level()
    memory: Level = Level()

    def __add__(self, other: "Levels") -> "Levels":
        return Levels(self.cpu + other.cpu, self.memory + other.memory)

    def __sub__(self, other: "Levels") -> "Levels":
        return Levels(self.cpu - other.cpu, self.memory - other.memory)


class NodeCause(msgspec.Struct, frozen=True, gc=False):
    """One reason why a node is overcommitted.

    Attributes:
        word: the reason in one word, for programs.
        resource: ``cpu`` or ``memory``.
        sentence: the reason in a sentence, with the numbers.
    """

    word: Cause
    resource: str
    sentence: str


class NodeLevels(msgspec.Struct, frozen=True, gc=False):
    """How much a node is overcommitted.

    Attributes:
        levels: the levels of its pods together.
        causes: why it is overcommitted by the definition in Red Hat's document; empty: it is not.
        requested_cpu_percent: CPU requests in percent of allocatable, rounded down; ``None``: nothing is
            allocatable.
        requested_memory_percent: memory requests in percent of allocatable, likewise.
    """

    levels: Levels
    causes: tuple[NodeCause, ...]
    requested_cpu_percent: int | None
    requested_memory_percent: int | None

    @property
    def overcommitted(self) -> bool:
        """Whether the node is overcommitted."""
        return bool(self.causes)


def container_levels(resources: Resources) -> Levels:
    """The levels of one container."""
    return Levels(
        _level(resources.requests.cpu_milli, resources.limits.cpu_milli, bounded=True),
        _level(resources.requests.memory_bytes, resources.limits.memory_bytes, bounded=True),
    )


def pod_levels(pod: ResolvedPod) -> Levels:
    """The levels of one pod: its effective requests and limits, overhead included.

    A pod has a limit if the pod itself or each of its containers has one.
    """
    requests, limits, level = pod.requests, pod.limits, pod.level
    own = level.limits if level is not None else Amounts()
    parts = [container.resources.limits for container in pod.all_containers]
    return Levels(
        _level(
            requests.cpu_milli,
            limits.cpu_milli,
            bounded=bool(own.cpu_milli) or all(part.cpu_milli for part in parts),
        ),
        _level(
            requests.memory_bytes,
            limits.memory_bytes,
            bounded=bool(own.memory_bytes) or all(part.memory_bytes for part in parts),
        ),
    )


def levels_of(pods: Iterable[Levels]) -> Levels:
    """The levels of many pods together: a namespace's, a node's.

    Args:
        pods: the results of :func:`pod_levels`.
    """
    total = Levels()
    for levels in pods:
        total += levels
    return total


def node_levels(pods: Sequence[Levels], capacity: Amounts, allocatable: Amounts) -> NodeLevels:
    """How much a node is overcommitted, and whether it is by the definition in Red Hat's document.

    Args:
        pods: the results of :func:`pod_levels` for the pods on the node that have not ended.
        capacity: the node's capacity.
        allocatable: the node's allocatable, as its status reports it.
    """
    total = levels_of(pods)
    return NodeLevels(
        total,
        causes_of(total, len(pods), capacity),
        share_percent(total.cpu.requested, allocatable.cpu_milli),
        share_percent(total.memory.requested, allocatable.memory_bytes),
    )


def causes_of(levels: Levels, pods: int, capacity: Amounts) -> tuple[NodeCause, ...]:
    """Why a node is overcommitted by the definition in Red Hat's document.

    A node is, if a pod on it makes no request, or the limits of its pods exceed its capacity. Pods without a
    limit are counted in the levels, but are no cause by themselves.

    Args:
        levels: the levels of the node's pods together.
        pods: the number of these pods.
        capacity: the node's capacity.
    """
    causes: list[NodeCause] = []
    for resource, level, size, unit in (
        (CPU, levels.cpu, capacity.cpu_milli, "milli-CPU"),
        (MEMORY, levels.memory, capacity.memory_bytes, "bytes"),
    ):
        if level.without_request:
            sentence = f"{level.without_request} of {pods} pods make no {resource} request"
            causes.append(NodeCause("PodMakesNoRequest", resource, sentence))
        if level.limited > (size or 0):
            sentence = (
                f"{resource} limits of {level.limited} {unit} exceed the capacity of {size or 0} {unit}"
            )
            causes.append(NodeCause("LimitsExceedCapacity", resource, sentence))
    return tuple(causes)


def share_percent(part: int, whole: int | None) -> int | None:
    """A part of a whole in percent, rounded down; ``None``: there is no whole."""
    return part * 100 // whole if whole else None


def promised_percent(guest_bytes: Iterable[int], ram_bytes: int) -> int:
    """The memory promised to the guests on a node, in percent of the node's RAM, rounded down.

    Raises:
        InvalidInput: the node has no RAM.
    """
    if ram_bytes <= 0:
        raise InvalidInput("node memory", ram_bytes, "more than 0 bytes")
    return sum(guest_bytes) * 100 // ram_bytes


def _level(requested: int | None, limited: int | None, *, bounded: bool) -> Level:
    return Level(
        requested or 0,
        limited or 0,
        without_request=int(not requested),
        without_limit=int(not (bounded and limited)),
    )
