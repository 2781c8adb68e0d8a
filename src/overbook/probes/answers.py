"""HTTP for probes and metrics without a socket: from a request's bytes to an answer's bytes."""

from collections.abc import Callable, Mapping
from typing import Final

Answer = tuple[int, str, bytes]
"""An answer: status, content type, body."""
Handler = Callable[[], Answer]

_TIMES_KEPT: Final = 10
_TEXT: Final = "text/plain; charset=utf-8"
_EXPOSITION: Final = "text/plain; version=0.0.4"
_STATUS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


def text(status: int, message: str) -> Answer:
    """An answer of one line of text."""
    return (status, _TEXT, message.encode() + b"\n")


def health(why_not: str, good: str = "ok") -> Answer:
    """The answer to a probe.

    Args:
        why_not: why the component is not healthy, or not ready; empty: it is.
        good: the text if it is.
    """
    return text(503, why_not) if why_not else text(200, good)


def metrics(exposition: bytes) -> Answer:
    """The answer to Prometheus, with the result of :func:`overbook.probes.exposition.render`."""
    return (200, _EXPOSITION, exposition)


def json(document: bytes) -> Answer:
    """An answer with a JSON document."""
    return (200, "application/json", document)


class KeptAnswer:
    """A handler whose answer is given again for ten times as long as it took to make.

    So requests for it, however many, cost at most about a tenth of the process's time.

    Args:
        handler: makes the answer.
        clock: seconds.
    """

    def __init__(self, handler: Handler, clock: Callable[[], float]) -> None:
        self._handler = handler
        self._clock = clock
        self._answer: Answer | None = None
        self._until = 0.0

    def __call__(self) -> Answer:
        """The answer, made anew if the last one is too old."""
        began = self._clock()
        if self._answer is None or began >= self._until:
            self._answer = self._handler()
            now = self._clock()
            self._until = now + _TIMES_KEPT * (now - began)
        return self._answer


def answered(request: bytes, handlers: Mapping[str, Handler]) -> bytes:
    """The whole answer to a request, after which the connection is closed.

    Args:
        request: the first line, and any bytes after it.
        handlers: the handlers by path; a query is ignored.
    """
    return _on_the_wire(_answer(request, handlers), head=request.startswith(b"HEAD "))


def refused(message: str) -> bytes:
    """The whole answer to a request that cannot be read."""
    return _on_the_wire(text(400, message), head=False)


def _answer(request: bytes, handlers: Mapping[str, Handler]) -> Answer:
    words = request.split(b"\r\n", 1)[0].split()
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return text(400, "not an HTTP/1 request")
    if words[0] not in {b"GET", b"HEAD"}:
        return text(405, "only GET is answered")
    handler = handlers.get(words[1].split(b"?", 1)[0].decode("ascii", "replace"))
    if handler is None:
        return text(404, "known paths: " + " ".join(handlers))
    return handler()


def _on_the_wire(answer: Answer, *, head: bool) -> bytes:
    status, kind, body = answer
    start = (
        f"HTTP/1.1 {status} {_STATUS[status]}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return start.encode() + (b"" if head else body)
