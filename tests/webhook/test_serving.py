import asyncio
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from overbook.certificates import make_certificate
from overbook.certificates.make_certificate import Certificate, Wanted
from overbook_sandbox.cluster.pki import CertificateFiles, Pki
from tests.waiting import wait_for
from tests.webhook.running import (
    Webhook,
    cluster_override,
    free_port,
    namespace,
    pod,
    response_of,
    review,
    running,
    write_manifests,
)

REVIEW = json.dumps(review(pod({"limits": {"memory": "1Gi"}}))).encode()
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def manifests(tmp_path: Path) -> str:
    return write_manifests(
        tmp_path / "manifests", cluster_override(memoryRequestToLimitPercent=50), namespace("shop")
    )


def certificate() -> Certificate:
    return asyncio.run(make_certificate.make(Wanted(("localhost",), ("127.0.0.1",), 3600.0)))


def write(folder: Path, made: Certificate) -> None:
    """Write both files at once by a link, as a mounted Secret changes."""
    folder.mkdir(exist_ok=True)
    generation = folder / f"..{time.monotonic_ns()}"
    generation.mkdir()
    (generation / "tls.crt").write_text(made.certificate, encoding="ascii")
    (generation / "tls.key").write_text(made.key, encoding="ascii")
    os.symlink(generation, folder / "..new")
    os.replace(folder / "..new", folder / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(folder / "..data" / name)


def ask(connection: http.client.HTTPSConnection) -> http.client.HTTPResponse:
    connection.request("POST", "/override", REVIEW, JSON)
    answer = connection.getresponse()
    assert "patch" in response_of(answer.read())
    return answer


def shown(webhook: Webhook) -> str:
    with webhook.socket() as sock:
        return ssl.DER_cert_to_PEM_cert(sock.getpeercert(binary_form=True) or b"")


def test_a_new_certificate_is_used_and_a_bad_one_is_not(manifests: str, tmp_path: Path) -> None:
    first, second = certificate(), certificate()
    folder = tmp_path / "tls"
    write(folder, first)
    options = ("--certificates", str(folder), "--certificate-poll-seconds", "0.1", "--drain-seconds", "0")
    with running(manifests, *options) as webhook:
        kept = webhook.connection()
        ask(kept)
        assert shown(webhook) == first.certificate
        write(
            folder, Certificate(second.authority, second.certificate, first.key)
        )  # they do not belong together
        time.sleep(0.5)
        assert shown(webhook) == first.certificate
        write(folder, second)
        wait_for(lambda: shown(webhook) == second.certificate, "the new certificate is shown")
        ask(kept)  # on the connection from before
        kept.close()


def test_the_authoritys_key_is_nowhere_and_clients_verify(manifests: str, tmp_path: Path) -> None:
    made = certificate()
    write(tmp_path / "tls", made)
    assert made.key not in repr(made)
    with running(manifests, "--certificates", str(tmp_path / "tls"), "--drain-seconds", "0") as webhook:
        context = ssl.create_default_context(cadata=made.authority)
        verified = http.client.HTTPSConnection("localhost", webhook.port, context=context, timeout=30)
        ask(verified)
        verified.close()


def test_sigterm_ends_readiness_and_goes_on_answering(manifests: str) -> None:
    with running(manifests, "--drain-seconds", "3") as webhook:
        idle, kept = webhook.connection(), webhook.connection()
        ask(idle)
        assert ask(kept).getheader("Connection") is None
        webhook.process.send_signal(signal.SIGTERM)
        wait_for(lambda: webhook.get("/readyz")[0] == 503, "readiness ends")
        assert webhook.get("/healthz")[0] == 200
        assert ask(kept).getheader("Connection") == "close"
        with closing(webhook.connection()) as new:
            ask(new)
        begun = webhook.socket()
        fields = f"Content-Type: application/json\r\nContent-Length: {len(REVIEW)}"
        begun.sendall(f"POST /override HTTP/1.1\r\n{fields}\r\n\r\n".encode() + REVIEW[:100])

        def finish() -> None:
            wait_for(lambda: not _accepts(webhook), "it stops listening")
            begun.sendall(REVIEW[100:])

        late = threading.Thread(target=finish)
        late.start()
        received = b""
        while piece := begun.recv(65536):
            received += piece
        late.join()
        assert b"200 OK" in received  # what had begun is finished
        for one in (begun, idle, kept):
            one.close()
        _, log = webhook.process.communicate(timeout=60)
        assert webhook.process.returncode == 0
        assert "Traceback" not in log


def _accepts(webhook: Webhook) -> bool:
    try:
        webhook.socket().close()
    except OSError:
        return False
    return True


def test_one_connection_serves_a_thousand_requests(webhook: Webhook) -> None:
    connection = webhook.connection()
    for _ in range(1000):
        ask(connection)
    connection.close()


def test_metrics_count_by_outcome_override_and_namespace(manifests: str) -> None:
    with running(manifests, "--drain-seconds", "0") as webhook:
        webhook.review(pod({"limits": {"memory": "1Gi"}}))
        webhook.review(pod({}))
        webhook.review(pod({}), 'no"where')
        webhook.post(b"{")
        _, text = webhook.get("/metrics")
    count = "overbook_webhook_admissions_total"
    labels = 'override="ClusterResourceOverride/cluster",namespace="shop"'
    assert f'{count}{{outcome="Overridden",{labels}}} 1' in text
    assert f'{count}{{outcome="AsItShouldBe",{labels}}} 1' in text
    assert f'{count}{{outcome="UnknownNamespace",override="",namespace=""}} 1' in text
    assert f'{count}{{outcome="NotAReview",override="",namespace=""}} 1' in text
    assert 'overbook_webhook_admission_seconds_bucket{le="+Inf"} 3' in text
    assert 'overbook_webhook_http_responses_total{code="400"} 1' in text


def test_neither_client_nor_certificates_load_without_a_cluster(manifests: str) -> None:
    program = (
        "import sys, overbook.webhook.run\n"
        "heavy = {'cryptography', 'yaml', 'http.client', 'email'}\n"
        "heavy |= {'overbook.kube.api.client', 'overbook.agent'}\n"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603 - no shell; the argv is ours
    assert done.returncode == 0, done.stderr
    with running(manifests, "--drain-seconds", "0") as webhook:
        webhook.review(pod({}))
        status = Path(f"/proc/{webhook.process.pid}/status").read_text(encoding="ascii")
    resident = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    assert resident < 50


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--manifests", "{0}"], "one of the two"),
        (["--manifests", "{0}", "--self-signed", "--certificates", "{0}"], "one of the two"),
        (["--manifests", "{0}", "--certificates", "{0}"], "tls.crt"),
        (["--manifests", "{0}", "--self-signed", "--client-ca-file", "{0}/no"], "PEM certificates"),
        (["--manifests", "{0}/nowhere", "--self-signed"], "nowhere"),
        (["--self-signed", "--kubeconfig", "{0}/nowhere"], "`overbook certificates`"),
        (["--certificates", "{0}", "--kubeconfig", "{0}/nowhere"], "nowhere"),
    ],
)
def test_wrong_settings_are_one_line_and_status_2(manifests: str, options: list[str], complaint: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "overbook", "webhook", "--status-port", "0", "--port", "0"]
        + [option.format(manifests) for option in options],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert complaint in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("percentages", "complaint"),
    [({"memoryRequestToLimitPercent": 101}, "0 (off) to 100"), ({"cpuRequestToLimitPercent": "a"}, "int")],
)
def test_an_unusable_override_is_refused_at_the_start(
    tmp_path: Path, percentages: dict[str, Any], complaint: str
) -> None:
    folder = write_manifests(tmp_path / "wrong", cluster_override(**percentages), namespace("shop"))
    with pytest.raises(RuntimeError, match="ClusterResourceOverride") as caught, running(folder):
        pass
    assert complaint in str(caught.value)


def test_only_clients_of_the_authority_are_answered(manifests: str, tmp_path: Path) -> None:
    server = certificate()
    write(tmp_path / "tls", server)
    ours, strange = Pki(str(tmp_path / "ours")), Pki(str(tmp_path / "strange"))
    options = ("--certificates", str(tmp_path / "tls"), "--client-ca-file", ours.authority)
    with running(manifests, *options, "--drain-seconds", "0") as webhook:
        with closing(verified(webhook, server, ours.issue_client("api"))) as known:
            ask(known)
        for one in (strange.issue_client("api"), None):
            with (
                closing(verified(webhook, server, one)) as unknown,
                pytest.raises((ssl.SSLError, ConnectionError)),
            ):
                ask(unknown)
        assert webhook.get("/readyz")[0] == 200  # the kubelet needs no certificate


def verified(
    webhook: Webhook, server: Certificate, client: CertificateFiles | None
) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cadata=server.authority)
    if client is not None:
        context.load_cert_chain(*client)
    return http.client.HTTPSConnection("localhost", webhook.port, context=context, timeout=30)


def test_probes_have_a_port_of_their_own(manifests: str) -> None:
    port = free_port()
    with running(manifests, "--probe-port", str(port), "--drain-seconds", "0"):
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 404)):
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
                connection.request("GET", path)
                assert connection.getresponse().status == status


def test_invented_namespaces_leave_no_series(manifests: str) -> None:
    with running(manifests, "--drain-seconds", "0") as webhook:
        for number in range(50):
            webhook.review(pod({"limits": {"memory": "1Gi"}}), f"invented-{number}")
        webhook.review(pod({"limits": {"memory": "1Gi"}}))
        _, text = webhook.get("/metrics")
    assert "invented" not in text
    assert 'namespace="shop"} 1' in text
    assert 'outcome="UnknownNamespace",override="",namespace=""} 50' in text


def test_a_pod_of_too_many_containers_is_admitted_unchanged(webhook: Webhook) -> None:
    many = pod(*[{"limits": {"memory": "1Gi"}}] * 1001)
    assert "patch" not in webhook.review(many)


def test_a_review_of_too_many_objects_is_refused(webhook: Webhook) -> None:
    body = json.dumps(review({"spec": {"containers": [{}] * 200_000}})).encode()
    assert webhook.post(body)[0] == 413


def test_requests_ahead_of_their_answers_are_bounded(webhook: Webhook) -> None:
    with webhook.socket() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n" * 1000)
        received = b""
        while piece := sock.recv(65536):
            received += piece
    assert b"HTTP/1.1 503" in received
    assert received.count(b"HTTP/1.1 ") < 64
