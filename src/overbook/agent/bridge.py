"""Between the tick's thread and the API's: each leaves its latest word for the other and wakes it.

Neither ever waits for the other. What is left is immutable and replaces what was left before, so nothing
piles up however long one side is silent; only notices queue, and their queue is bounded.
"""

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from overbook.core.api.overcommit import OvercommitSpec
from overbook.core.api.overcommit_node import OvercommitNodeStatus
from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.kubernetes.pod import Pod

MOST_NOTICES: Final = 512


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What the API's side knows.

    Attributes:
        pods: this node's pods by the UID of their cgroups; ``None``: never known.
        pods_source: who said so.
        namespaces: annotations that count here, by namespace.
        overcommit: what the cluster's owner wants; ``None``: not known, or there is no such object.
        overcommit_known: whether that was ever asked with success.
        own: the status that stands in this node's object.
        own_known: whether it was ever read; its absence is knowledge, too.
        own_annotations: of that object.
        kubelet: what the kubelet says of its own configuration; ``None``: not known.
        kubelet_asked: whether it was asked, whatever came of it.
        node_uid: UID of the Node object; empty: there is none, or not known yet.
        refused: an answer of the API server that keeps us from our work; empty: none.
    """

    pods: Mapping[str, Pod] | None = None
    pods_source: str = "API server"
    namespaces: Mapping[str, Mapping[str, str]] = {}
    overcommit: OvercommitSpec | None = None
    overcommit_known: bool = False
    own: OvercommitNodeStatus | None = None
    own_known: bool = False
    own_annotations: Mapping[str, str] = {}
    kubelet: KubeletConfiguration | None = None
    kubelet_asked: bool = False
    node_uid: str = ""
    refused: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the tick's side wants to stand in the API.

    Attributes:
        status: of this node's object, whole but for the controller's part.
        tainted: whether the node is to have our taint.
        yielding: the instance of another agent that is left to write; empty: we do.
    """

    status: OvercommitNodeStatus
    tainted: bool = False
    yielding: str = ""


class Notice(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Something to be told as an event.

    Attributes:
        reason: a word, CamelCase.
        message: a sentence.
        warning: whether it is more than good to know.
        pod: UID, namespace and name; ``None``: it is about the node.
        repeats: it is the same that happens again and again, with other numbers.
    """

    reason: str
    message: str
    warning: bool = False
    pod: tuple[str, str, str] | None = None
    repeats: bool = False


class Contact:
    """When the API server last answered. Written by the API's thread, read by the tick's.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.last_at: float | None = None
        self.failing_since: float | None = None
        self.failures = 0
        self.publishes = 0

    def answered(self) -> None:
        """It answered, whatever it said."""
        self.last_at, self.failing_since = self.clock(), None

    def failed(self, asked_at: float) -> None:
        """It did not answer what was asked then."""
        self.failures += 1
        if self.failing_since is None:
            self.failing_since = asked_at

    def unreachable_seconds(self) -> float:
        """For how long it has not answered; 0: as far as we know it does."""
        since = self.failing_since
        return 0.0 if since is None else self.clock() - since

    def age_seconds(self) -> float | None:
        """Since it last answered; ``None``: it never did."""
        return None if self.last_at is None else self.clock() - self.last_at


class Bridge:
    """Both directions.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.news = News()
        self.report: Report | None = None
        self.notices: deque[Notice] = deque(maxlen=MOST_NOTICES)
        """Not yet taken over by the API's thread, which keeps those that cannot be sent."""
        self.dropped = 0
        """Notices that had to make room for newer ones, for the metrics."""
        self.waiting = 0
        """Notices that the API's thread could not send yet, for the metrics."""
        self.contact = Contact(clock)
        self.restarts = 0
        """How often the API's thread had to start anew, for the metrics."""
        self._nudge: Callable[[], object] | None = None
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    # The tick's side.

    def fileno(self) -> int:
        """Readable when there is news."""
        return self._wake_fd

    def clear(self) -> None:
        """The news has been seen."""
        with contextlib.suppress(BlockingIOError):  # woken for another reason
            os.eventfd_read(self._wake_fd)

    def tell(self, report: Report) -> None:
        """Leave a report; one that was not read yet is replaced."""
        self.report = report
        self.nudge()

    def note(self, notice: Notice) -> None:
        """Leave something to be told; the oldest makes room where nobody takes them."""
        if len(self.notices) == MOST_NOTICES:
            self.dropped += 1
        self.notices.append(notice)
        self.nudge()

    def nudge(self) -> None:
        """Have the API's thread look at what lies here."""
        nudge = self._nudge
        if nudge is not None:
            with contextlib.suppress(
                RuntimeError
            ):  # its loop was closed just now; the next one looks by itself
                nudge()

    def close(self) -> None:
        """Let go. The API's thread must have ended."""
        os.close(self._wake_fd)

    # The API's side.

    @property
    def attended(self) -> bool:
        """Whether the API's thread is at work."""
        return self._nudge is not None

    def attach(self, nudge: Callable[[], object] | None) -> None:
        """How this side is woken; ``None``: it is not there at present."""
        self._nudge = nudge

    def update_pods(self, pods: Mapping[str, Pod], source: str = "API server") -> None:
        """This node's pods, and who says so."""
        if pods != self.news.pods or source != self.news.pods_source:
            self._publish(msgspec.structs.replace(self.news, pods=pods, pods_source=source))

    def update_namespaces(self, namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """The annotations that count here, by namespace."""
        if namespaces != self.news.namespaces:
            self._publish(msgspec.structs.replace(self.news, namespaces=namespaces))

    def update_overcommit(self, overcommit: OvercommitSpec | None) -> None:
        """What the cluster's owner wants; ``None``: there is no such object."""
        if overcommit != self.news.overcommit or not self.news.overcommit_known:
            news = msgspec.structs.replace(self.news, overcommit=overcommit, overcommit_known=True)
            self._publish(news)

    def update_overcommit_known(self) -> None:
        """Whether there is such an object was asked with success."""
        self.update_overcommit(self.news.overcommit)

    def update_own(self, own: OvercommitNodeStatus | None, annotations: Mapping[str, str]) -> None:
        """What stands in this node's object; ``None``: there is none."""
        news = self.news
        if own != news.own or annotations != news.own_annotations or not news.own_known:
            self._publish(msgspec.structs.replace(news, own=own, own_annotations=annotations, own_known=True))

    def update_own_known(self) -> None:
        """This node's object was looked for with success."""
        self.update_own(self.news.own, self.news.own_annotations)

    def update_kubelet(self, kubelet: KubeletConfiguration) -> None:
        """What the kubelet says of its own configuration."""
        if kubelet != self.news.kubelet:
            self._publish(msgspec.structs.replace(self.news, kubelet=kubelet))

    def update_kubelet_asked(self) -> None:
        """The kubelet was asked, whatever came of it."""
        if not self.news.kubelet_asked:
            self._publish(msgspec.structs.replace(self.news, kubelet_asked=True))

    def update_node_uid(self, uid: str) -> None:
        """UID of the Node object; empty: there is none."""
        if uid != self.news.node_uid:
            self._publish(msgspec.structs.replace(self.news, node_uid=uid))

    def update_refused(self, refused: str) -> None:
        """An answer of the API server that keeps us from our work; empty: none any more."""
        if refused != self.news.refused:
            self._publish(msgspec.structs.replace(self.news, refused=refused))

    def _publish(self, news: News) -> None:
        """Replace the news, and wake the tick's thread."""
        self.news = news
        os.eventfd_write(self._wake_fd, 1)
