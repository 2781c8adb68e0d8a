"""The HTTP handler of the port for reviews."""

from typing import Final

from overbook.webhook.http_protocol import LARGE_BODY_BYTES, TEXT, Handler, HttpAnswer, HttpRequest
from overbook.webhook.review import NotAReview, Reviewer

OVERRIDE_PATH: Final = "/override"
_OVERRIDE: Final = OVERRIDE_PATH.encode()
_JSON: Final = b"application/json"
MOST_FIELDS: Final = 200_000
"""The most objects and fields in a large review. Decoded they take up to 200 bytes each; a pod of a thousand
containers has 30,000, and etcd stores no object larger than 1.5 MiB."""


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
        body = request.body
        if len(body) > LARGE_BODY_BYTES and body.count(b"{") + body.count(b":") > MOST_FIELDS:
            return _refused(413, f"at most {MOST_FIELDS} objects and fields")
        try:
            return HttpAnswer(reviewer.answer(body, request.started), _JSON)
        except NotAReview as error:
            return _refused(400, str(error)[:500])

    return handle


def _is_json(content_type: bytes) -> bool:
    return content_type.split(b";", 1)[0].strip().lower() == _JSON


def _refused(status: int, why: str) -> HttpAnswer:
    return HttpAnswer(f"{why}\n".encode(), TEXT, status)
