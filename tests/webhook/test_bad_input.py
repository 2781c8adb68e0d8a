import json
import socket
import ssl
import time
from typing import Any

import pytest

from overbook.webhook.http_protocol import MOST_BODY_BYTES
from tests.webhook.running import Webhook, patched, pod, response_of, review

GOOD = json.dumps(review(pod({"limits": {"memory": "1Gi"}}))).encode()


def _head(length: int, *fields: str, version: str = "HTTP/1.1", path: str = "/override") -> bytes:
    lines = [f"POST {path} {version}", "Host: webhook", "Content-Type: application/json", *fields]
    return ("\r\n".join([*lines, f"Content-Length: {length}"]) + "\r\n\r\n").encode()


def _read_answer(sock: ssl.SSLSocket) -> tuple[int, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        more = sock.recv(65536)
        if not more:
            raise EOFError(received)
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields[b"content-length"]):
        body += sock.recv(65536)
    return int(head.split()[1]), body


@pytest.fixture(autouse=True)
def _still_works_afterwards(webhook: Webhook) -> Any:
    yield
    assert "patch" in webhook.review(pod({"limits": {"memory": "1Gi"}}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        GOOD[:-20],
        b"null",
        b"[]",
        b'"review"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        GOOD.replace(b"AdmissionReview", b"TokenReview"),
        GOOD.replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1"),
        GOOD.replace(b'"uid": "0a1b"', b'"uid": "\xff"'),
        GOOD.replace(b'"uid": "0a1b", ', b""),
    ],
)
def test_a_body_that_is_no_review_is_refused(webhook: Webhook, body: bytes) -> None:
    status, text = webhook.post(body)
    assert status == 400
    assert len(text) < 1000
    assert text.endswith(b"\n")


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}},
        {"operation": "UPDATE"},
        {"operation": "DELETE", "object": None},
        {"subResource": "eviction"},
        {"object": None},
        {"object": {}},
        {"object": {"spec": {"containers": "many"}}},
        {"object": {"spec": {"containers": [{"resources": {"limits": {"memory": {"a": 1}}}}]}}},
        {"object": {"metadata": {"labels": ["a"]}, "spec": {}}},
        {"object": 5},
        {"object": pod({"limits": {"memory": "-1Gi"}})},
        {"object": pod({"limits": {"memory": "lots"}})},
        {"object": pod({"limits": {"memory": "9" * 300}})},
        {"object": pod({"limits": {"memory": "1e99999999"}})},
        {"object": pod({"limits": {"memory": "100Ei"}})},
        {"object": pod({"limits": {"memory": 1e300}})},
        {"object": pod({"limits": {"memory": ""}})},
    ],
)
def test_an_object_that_is_no_pod_is_admitted_untouched(webhook: Webhook, changed: dict[str, Any]) -> None:
    body = json.dumps(review(pod({"limits": {"memory": "1Gi"}}), **changed)).encode()
    status, answer = webhook.post(body)
    assert status == 200
    assert "patch" not in response_of(answer)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/yaml", "", "application/json-patch+json"]
)
def test_another_content_type_is_refused(webhook: Webhook, content_type: str) -> None:
    assert webhook.post(GOOD, content_type=content_type)[0] == 415


def test_a_content_type_may_have_a_parameter_and_a_path_a_query(webhook: Webhook) -> None:
    status, body = webhook.post(
        GOOD, content_type="Application/JSON; charset=utf-8", path="/override?timeout=10s"
    )
    assert status == 200
    assert "patch" in response_of(body)


def test_other_paths_and_methods_are_refused(webhook: Webhook) -> None:
    assert webhook.post(GOOD, path="/mutate")[0] == 404
    connection = webhook.connection()
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        connection.request(method, "/override")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 405
    connection.close()


def test_three_megabytes_are_answered_and_thirty_are_refused(webhook: Webhook) -> None:
    large = pod({"limits": {"memory": "1Gi"}}, annotations={"notes": "x" * (3 << 20)})
    assert patched(large, webhook.review(large))["spec"]["containers"][0]["resources"]["requests"]
    for fields in ((), ("Expect: 100-continue",)):
        sock = webhook.socket()
        sock.sendall(_head(30 << 20, *fields))
        assert _read_answer(sock)[0] == 413
        sock.close()


def test_a_chunked_body_is_counted_too(webhook: Webhook) -> None:
    sock = webhook.socket()
    sock.sendall(
        b"POST /override HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    for _ in range(MOST_BODY_BYTES // (1 << 20) + 1):
        sock.sendall(piece)
    assert _read_answer(sock)[0] == 413
    sock.close()


def test_a_thousand_containers_are_all_overridden(webhook: Webhook) -> None:
    many = pod(*[{"limits": {"memory": f"{number + 2}Mi"}} for number in range(1000)])
    result = patched(many, webhook.review(many))
    for number, container in enumerate(result["spec"]["containers"]):
        assert container["resources"]["requests"] == {"memory": f"{(number + 2) // 2}Mi"}


def test_the_last_of_duplicate_keys_counts_as_in_the_api_server(webhook: Webhook) -> None:
    body = GOOD.replace(b'{"memory": "1Gi"}', b'{"memory": "8Gi", "memory": "1Gi"}')
    body = body.replace(b'"operation": "CREATE"', b'"operation": "UPDATE", "operation": "CREATE"')
    status, answer = webhook.post(body)
    assert status == 200
    result = patched(pod({"limits": {"memory": "1Gi"}}), response_of(answer))
    assert result["spec"]["containers"][0]["resources"]["requests"] == {"memory": "512Mi"}


def test_http_1_0_is_answered_once(webhook: Webhook) -> None:
    sock = webhook.socket()
    sock.sendall(_head(len(GOOD), "Connection: keep-alive", version="HTTP/1.0") + GOOD)
    status, body = _read_answer(sock)
    assert status == 200
    assert "patch" in response_of(body)
    assert sock.recv(1) == b""
    sock.close()


def test_pipelined_requests_are_answered_in_order(webhook: Webhook) -> None:
    sock = webhook.socket()
    uids = [f"uid-{number}" for number in range(20)]
    bodies = [json.dumps(review(pod({"limits": {"memory": "1Gi"}}), uid=uid)).encode() for uid in uids]
    sock.sendall(b"".join(_head(len(body)) + body for body in bodies))
    received = b""
    while received.count(b'"uid"') < len(uids) or not received.endswith(b"}}"):
        received += sock.recv(65536)
    found = [part.split(b'"')[0].decode() for part in received.split(b'"uid":"')[1:]]
    assert found == uids
    sock.close()


def test_requests_behind_a_refused_one_are_not_answered(webhook: Webhook) -> None:
    sock = webhook.socket()
    large = b"GET / HTTP/1.1\r\nX: " + b"a" * 17_000 + b"\r\n\r\n"
    sock.sendall(large + _head(len(GOOD), "Connection: close") + GOOD)
    assert _read_answer(sock)[0] == 431
    assert sock.recv(1) == b""
    sock.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01 no http\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /override HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /override HTTP/1.1\r\nContent-Length: nine\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(200)) + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
def test_malformed_http_is_refused(webhook: Webhook, sent: bytes) -> None:
    sock = webhook.socket()
    sock.sendall(sent)
    assert _read_answer(sock)[0] in (400, 404, 431)
    sock.close()


def test_a_half_closed_connection_gets_its_answer(webhook: Webhook) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    plain = socket.create_connection(("127.0.0.1", webhook.port), timeout=30)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    tls = context.wrap_bio(incoming, outgoing)

    def talk(work: Any) -> Any:
        while True:
            try:
                result = work()
            except ssl.SSLWantReadError:
                if outgoing.pending:
                    plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
            else:
                if outgoing.pending:
                    plain.sendall(outgoing.read())
                return result

    talk(tls.do_handshake)
    talk(lambda: tls.write(_head(len(GOOD)) + GOOD))
    plain.shutdown(socket.SHUT_WR)
    assert b"200 OK" in talk(lambda: tls.read(65536))
    plain.close()


def test_a_client_that_stops_in_the_middle_is_dropped(webhook: Webhook) -> None:
    started = time.monotonic()
    sock = webhook.socket()
    sock.sendall(_head(len(GOOD)) + GOOD[:10])
    assert _read_answer(sock)[0] == 408
    assert time.monotonic() - started < 60
    sock.close()
    plain = socket.create_connection(("127.0.0.1", webhook.port), timeout=60)
    assert plain.recv(1) == b""  # one that never begins the handshake
    plain.close()
