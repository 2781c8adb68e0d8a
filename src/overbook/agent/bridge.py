"""The bridge between the tick's thread and the API's thread: each leaves values for the other and wakes it.

Neither thread ever waits for the other. A value is immutable and replaces the one before, so nothing piles up
however long one thread is silent. Only notices queue, and their queue is bounded.
"""

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from overbook.core.api.overcommit import OvercommitSpec, Unusable
from overbook.core.api.overcommit_node import OvercommitNodeStatus
from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.kubernetes.pod import Pod

MOST_NOTICES: Final = 512


class SeenLease(msgspec.Struct, frozen=True, gc=False):
    """The marks of other agents in the node's Lease.

    Attributes:
        holder: the instance of another agent that holds it; empty: this agent does.
        renewed: when that agent has renewed it.
        second: the annotation of an agent that yields.
    """

    holder: str = ""
    renewed: str = ""
    second: str = ""


class News(msgspec.Struct, frozen=True, kw_only=True):
    """The values from the API's thread.

    Attributes:
        pods: this node's pods by the UID of their cgroups; ``None``: never known.
        pods_source: where these pods come from.
        namespaces: the labels that the agent reads, by namespace.
        overcommit: spec of the ``Overcommit``, or why there is none that can be used; ``None``: the API
            server has never said.
        own: the status in this node's object; ``None``: none, or not known.
        own_known: whether this object has ever been looked for with success.
        lease: the marks of other agents in the node's Lease.
        kubelet: the configuration that the kubelet reports; ``None``: not known.
        kubelet_asked: whether the kubelet has been asked, with or without an answer.
        kubelet_minor: the minor version of the kubelet 1.x, as its Node says; ``None``: not known.
        node_uid: UID of the Node object; empty: there is none, or not known yet.
        refused: the API server's refusal that keeps the agent from its work; empty: none.
    """

    pods: Mapping[str, Pod] | None = None
    pods_source: str = "API server"
    namespaces: Mapping[str, Mapping[str, str]] = {}
    overcommit: OvercommitSpec | Unusable | None = None
    own: OvercommitNodeStatus | None = None
    own_known: bool = False
    lease: SeenLease = SeenLease()
    kubelet: KubeletConfiguration | None = None
    kubelet_asked: bool = False
    kubelet_minor: int | None = None
    node_uid: str = ""
    refused: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the tick's thread wants to be written to the API.

    Attributes:
        status: status of this node's object, without the controller's part.
        tainted: whether the node is to have Overbook's taint.
        yielding: instance of the agent that writes instead of this one; empty: this agent writes.
    """

    status: OvercommitNodeStatus
    tainted: bool = False
    yielding: str = ""


class Notice(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A notice, to be sent as an event.

    Attributes:
        reason: the event's reason, one word in CamelCase.
        message: a sentence.
        warning: whether the event's type is Warning, not Normal.
        pod: UID, namespace and name; ``None``: the event is about the node.
        repeats: count the notice into the existing event, of which only the numbers differ.
    """

    reason: str
    message: str
    warning: bool = False
    pod: tuple[str, str, str] | None = None
    repeats: bool = False


class Contact:
    """Times of the API server's answers. The API's thread writes them, the tick's thread reads them.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.last_at: float | None = None
        self.failing_since: float | None = None
        self.failures = 0
        self.publishes = 0
        self.heartbeats = 0

    def answered(self) -> None:
        """Note an answer, whatever it was."""
        self.last_at, self.failing_since = self.clock(), None

    def failed(self, asked_at: float) -> None:
        """Note that a request of that time got no answer."""
        self.failures += 1
        if self.failing_since is None:
            self.failing_since = asked_at

    def unreachable_seconds(self) -> float:
        """Seconds for which the API server has not answered; 0: the last request was answered."""
        since = self.failing_since
        return 0.0 if since is None else self.clock() - since

    def age_seconds(self) -> float | None:
        """Seconds since the last answer; ``None``: there was none."""
        return None if self.last_at is None else self.clock() - self.last_at


class Bridge:
    """Holds the values of both directions.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.news = News()
        self.report: Report | None = None
        self.notices: deque[Notice] = deque(maxlen=MOST_NOTICES)
        """Notices that the API's thread has not taken yet."""
        self.dropped = 0
        """Number of notices that were dropped for newer ones, for the metrics."""
        self.waiting = 0
        """Number of notices that the API's thread could not send yet, for the metrics."""
        self.contact = Contact(clock)
        self.restarts = 0
        """How often the API's thread failed and was started again, for the metrics."""
        self._refusals: dict[str, str] = {}
        self._nudge: Callable[[], object] | None = None
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    # The tick's side.

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is news."""
        return self._wake_fd

    def clear(self) -> None:
        """Note that the news has been read."""
        with contextlib.suppress(BlockingIOError):  # woken for another reason
            os.eventfd_read(self._wake_fd)

    def leave(self, report: Report) -> None:
        """Leave a report for the API's thread; a report that was not read yet is replaced."""
        self.report = report
        self.nudge()

    def note(self, notice: Notice) -> None:
        """Leave a notice for the API's thread; when the queue is full, the oldest is dropped."""
        if len(self.notices) == MOST_NOTICES:
            self.dropped += 1
        self.notices.append(notice)
        self.nudge()

    def nudge(self) -> None:
        """Wake the API's thread."""
        nudge = self._nudge
        if nudge is not None:
            with contextlib.suppress(
                RuntimeError
            ):  # its loop was closed just now; the next one looks by itself
                nudge()

    def close(self) -> None:
        """Close the descriptor. The API's thread must have ended."""
        os.close(self._wake_fd)

    # The API's side.

    @property
    def attended(self) -> bool:
        """Whether the API's thread is running."""
        return self._nudge is not None

    def attach(self, nudge: Callable[[], object] | None) -> None:
        """Set how the API's thread is woken; ``None``: it is not running."""
        self._nudge = nudge

    def update_pods(self, pods: Mapping[str, Pod], source: str = "API server") -> None:
        """Set this node's pods, and where they come from."""
        if pods != self.news.pods or source != self.news.pods_source:
            self._publish(msgspec.structs.replace(self.news, pods=pods, pods_source=source))

    def update_namespaces(self, namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """Set the labels that the agent reads, by namespace."""
        if namespaces != self.news.namespaces:
            self._publish(msgspec.structs.replace(self.news, namespaces=namespaces))

    def update_overcommit(self, overcommit: OvercommitSpec | Unusable) -> None:
        """Set the spec of the ``Overcommit``, or why there is none that can be used."""
        if overcommit != self.news.overcommit:
            self._publish(msgspec.structs.replace(self.news, overcommit=overcommit))

    def update_own(self, own: OvercommitNodeStatus | None) -> None:
        """Set the status in this node's object; ``None``: there is none."""
        if own != self.news.own or not self.news.own_known:
            self._publish(msgspec.structs.replace(self.news, own=own, own_known=True))

    def update_own_known(self) -> None:
        """Note that this node's object has been looked for with success."""
        self.update_own(self.news.own)

    def update_lease(self, lease: SeenLease) -> None:
        """Set the marks of other agents in the node's Lease."""
        if lease != self.news.lease:
            self._publish(msgspec.structs.replace(self.news, lease=lease))

    def update_kubelet(self, kubelet: KubeletConfiguration) -> None:
        """Set the configuration that the kubelet reports."""
        if kubelet != self.news.kubelet:
            self._publish(msgspec.structs.replace(self.news, kubelet=kubelet))

    def update_kubelet_asked(self) -> None:
        """Note that the kubelet has been asked, with or without an answer."""
        if not self.news.kubelet_asked:
            self._publish(msgspec.structs.replace(self.news, kubelet_asked=True))

    def update_kubelet_minor(self, minor: int | None) -> None:
        """Set the minor version of the kubelet that the Node says; ``None``: it does not."""
        if minor != self.news.kubelet_minor:
            self._publish(msgspec.structs.replace(self.news, kubelet_minor=minor))

    def update_node_uid(self, uid: str) -> None:
        """Set the UID of the Node object; empty: there is none."""
        if uid != self.news.node_uid:
            self._publish(msgspec.structs.replace(self.news, node_uid=uid))

    def update_refused(self, refusal: str, what: str = "") -> None:
        """Set the refusal that keeps the agent from one kind of its writes; empty: none any more."""
        self._refusals[what] = refusal
        refused = next(filter(None, self._refusals.values()), "")
        if refused != self.news.refused:
            self._publish(msgspec.structs.replace(self.news, refused=refused))

    def _publish(self, news: News) -> None:
        """Replace the news, and wake the tick's thread."""
        self.news = news
        os.eventfd_write(self._wake_fd, 1)
