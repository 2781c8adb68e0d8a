"""Which path answers what: reviews on the one port, health and metrics on the other."""

from collections.abc import Callable
from typing import Final

from overbook.webhook.http_protocol import TEXT, Handler, HttpAnswer, HttpRequest
from overbook.webhook.review import NotAReview, Reviewer

OVERRIDE_PATH: Final = "/override"
_OVERRIDE: Final = OVERRIDE_PATH.encode()
_JSON: Final = b"application/json"
_METRICS_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


def review_handler(reviewer: Reviewer) -> Handler:
    """``POST /override``."""

    def handle(request: HttpRequest) -> HttpAnswer:
        # The API server adds ?timeout=10s.
        if request.target != _OVERRIDE and request.target.split(b"?", 1)[0] != _OVERRIDE:
            return _refused(404, f"only {OVERRIDE_PATH} is answered here")
        if request.method != b"POST":
            return _refused(405, "an AdmissionReview is sent with POST")
        content_type = request.content_type
        if content_type != _JSON and not _is_json(content_type):
            return _refused(415, "an AdmissionReview is sent as application/json")
        try:
            return HttpAnswer(reviewer.answer(request.body, request.started), _JSON)
        except NotAReview as error:
            return _refused(400, str(error)[:500])

    return handle


def status_handler(not_ready: Callable[[], str], metrics: Callable[[], bytes]) -> Handler:
    """``GET`` of ``/healthz``, ``/readyz`` and ``/metrics``.

    Args:
        not_ready: why no reviews should be sent here; empty: they may.
        metrics: the exposition.
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
            return _refused(405, "only GET is answered")
        return answer()

    return handle


def _is_json(content_type: bytes) -> bool:
    return content_type.split(b";", 1)[0].strip().lower() == _JSON


def _refused(status: int, why: str) -> HttpAnswer:
    return HttpAnswer(f"{why}\n".encode(), TEXT, status)
