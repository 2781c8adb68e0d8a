"""The paths of the two ports: reviews on one, health and metrics on the other."""

from collections.abc import Callable
from typing import Final

from overbook.webhook.http_protocol import TEXT, Handler, HttpAnswer, HttpRequest
from overbook.webhook.review import NotAReview, Reviewer

OVERRIDE_PATH: Final = "/override"
_OVERRIDE: Final = OVERRIDE_PATH.encode()
_JSON: Final = b"application/json"
_METRICS_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


def review_handler(reviewer: Reviewer) -> Handler:
    """The handler of ``POST /override``."""

    def handle(request: HttpRequest) -> HttpAnswer:
        # The API server adds ?timeout=10s.
        if request.target != _OVERRIDE and request.target.split(b"?", 1)[0] != _OVERRIDE:
            return _refused(404, f"the only path is {OVERRIDE_PATH}")
        if request.method != b"POST":
            return _refused(405, "send an AdmissionReview with POST")
        content_type = request.content_type
        if content_type != _JSON and not _is_json(content_type):
            return _refused(415, "send an AdmissionReview as application/json")
        try:
            return HttpAnswer(reviewer.answer(request.body, request.started), _JSON)
        except NotAReview as error:
            return _refused(400, str(error)[:500])

    return handle


def status_handler(not_ready: Callable[[], str], metrics: Callable[[], bytes]) -> Handler:
    """The handler of ``GET`` for ``/healthz``, ``/readyz`` and ``/metrics``.

    Args:
        not_ready: returns why no reviews should be sent; empty if ready.
        metrics: returns the metrics as text.
    """

    def ready() -> HttpAnswer:
        why = not_ready()
        return _refused(503, why) if why else HttpAnswer(b"ok\n")

    paths: dict[bytes, Callable[[], HttpAnswer]] = {
        b"/healthz": lambda: HttpAnswer(b"ok\n"),
        b"/readyz": ready,
        b"/metrics": lambda: HttpAnswer(metrics(), _METRICS_TYPE),
    }

    def handle(request: HttpRequest) -> HttpAnswer:
        answer = paths.get(request.target.split(b"?", 1)[0])
        if answer is None:
            return _refused(404, "known paths: /healthz /readyz /metrics")
        if request.method not in (b"GET", b"HEAD"):
            return _refused(405, "the only method is GET")
        return answer()

    return handle


def _is_json(content_type: bytes) -> bool:
    return content_type.split(b";", 1)[0].strip().lower() == _JSON


def _refused(status: int, why: str) -> HttpAnswer:
    return HttpAnswer(f"{why}\n".encode(), TEXT, status)
