import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.kubernetes.pod import Pod
from overbook.kube.api.errors import ApiError, KubeError, UnexpectedAnswer
from overbook.kube.api.http import Body, HttpError, NothingCame, percent_encoded, read_head, request_bytes
from overbook.kube.api.kinds import PODS
from overbook.kube.api.listing import decode_page
from overbook.kube.api.transport import ApiRequest
from overbook.kube.api.watching import LineSplitter, decode_event
from tests.kube.api.scripted_server import answer, chunked

PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 204 x\r\n",
        b"HTTP/1.0 200 OK\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 5\r\n",
        b"content-length: -1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b" folded\r\n",
        b"\r\n",
        b"\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffffffff\r\n",
        b"1_0\r\n",
        b"-1\r\n",
        b"abc",
        b"\0\xff",
    ]
)
TARGET = ApiRequest("GET", "/api/v1/pods")


async def read(raw: bytes, cuts: list[int]) -> tuple[int, bytes]:
    """Read status and body from bytes that come in pieces; the time limit would show a hang."""
    reader = asyncio.StreamReader(limit=1 << 16)

    async def feed() -> None:
        for start, end in pairwise([0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]):
            reader.feed_data(raw[start:end])
            await asyncio.sleep(0)
        reader.feed_eof()

    feeding = asyncio.create_task(feed())
    try:
        async with asyncio.timeout(30):
            head = await read_head(reader)
            body = Body(reader, head)
            whole = b""
            while piece := await body.read():
                whole += piece
            return head.status, whole
    finally:
        await feeding


CUTS = st.lists(st.integers(0, 300), max_size=8)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), CUTS)
def test_a_chunked_body_is_the_same_however_it_was_cut(pieces: list[bytes], cuts: list[int]) -> None:
    assert asyncio.run(read(chunked(*pieces), cuts)) == (200, b"".join(pieces))


@given(st.binary(max_size=100), CUTS)
def test_a_body_with_a_length_is_the_same_however_it_was_cut(body: bytes, cuts: list[int]) -> None:
    assert asyncio.run(read(answer(body, 404), cuts)) == (404, body)


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4), st.integers(1), CUTS)
def test_an_answer_that_ends_too_early_is_an_error(pieces: list[bytes], lost: int, cuts: list[int]) -> None:
    whole = chunked(*pieces)
    with pytest.raises(HttpError):
        asyncio.run(read(whole[: len(whole) - 1 - lost % len(whole)], cuts))


@given(st.binary(max_size=200), CUTS)
def test_arbitrary_bytes_are_refused(raw: bytes, cuts: list[int]) -> None:
    with pytest.raises(HttpError):
        asyncio.run(read(raw, cuts))


@given(st.lists(PIECES, max_size=12), CUTS)
def test_pieces_of_answers_are_read_or_refused(pieces: list[bytes], cuts: list[int]) -> None:
    try:
        asyncio.run(read(b"".join(pieces), cuts))
    except HttpError:
        return


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n", "more than 100 header fields"),
        (b"HTTP/1.1 200 OK\r\na: " + b"x" * 70_000 + b"\r\n\r\n", "a header of more than 64 KiB"),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", "a body without a length"),
        (b"HTTP/2 200\r\n\r\n", "not an HTTP/1.1 status line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "two different values"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "of unknown length",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "of unknown length"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
            "longer than its size",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\n", "not a chunk's size"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 70_000,
            "a line without an end",
        ),
        (b"HTTP/1.1 100 x\r\n\r\n" * 9, "interim answers"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "interim answers"),
    ],
)
def test_a_wrong_answer_is_refused_by_its_fault(raw: bytes, said: str) -> None:
    with pytest.raises(HttpError, match=said):
        asyncio.run(read(raw, []))


def test_no_answer_differs_from_half_an_answer() -> None:
    with pytest.raises(NothingCame):
        asyncio.run(read(b"", []))


def test_a_plain_error_of_the_http_layer_needs_no_length() -> None:
    raw = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nClient sent an HTTP request"
    assert asyncio.run(read(raw, [])) == (400, b"Client sent an HTTP request")


def test_a_request_never_contains_a_second_one() -> None:
    with pytest.raises(HttpError):
        request_bytes("GET", "/", [("Authorization", "Bearer a\r\nHost: b")], b"")
    assert percent_encoded("a b/ü\r\n?&=") == "a%20b%2F%C3%BC%0D%0A%3F%26%3D"


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=8), CUTS)
def test_lines_are_the_same_however_they_were_cut(lines: list[bytes], cuts: list[int]) -> None:
    raw = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter()
    found: list[bytes] = []
    for start, end in pairwise([0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]):
        found += splitter.feed(raw[start:end])
    assert found == [line for line in lines if line.strip()]
    assert splitter.rest_bytes == 0


def test_a_line_without_an_end_is_refused() -> None:
    splitter = LineSplitter()
    for _ in range(16):
        splitter.feed(b"x" * (1 << 20))
    with pytest.raises(UnexpectedAnswer, match="more than 16 MiB"):
        splitter.feed(b"x")


@given(st.binary(max_size=60))
def test_any_line_is_an_event_or_an_error(line: bytes) -> None:
    with pytest.raises(KubeError):
        decode_event(PODS, line, TARGET)


def test_an_event_has_its_type_key_version_and_object() -> None:
    pod = b'{"metadata":{"name":"a","namespace":"n","resourceVersion":"7","uid":"u"},"spec":{}}'
    event = decode_event(PODS, b'{"type":"ADDED","object":' + pod + b"}", TARGET)
    assert (event.type, event.key, event.resource_version) == ("ADDED", "n/a", "7")
    assert isinstance(event.object, Pod)
    bookmark = b'{"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}'
    event = decode_event(PODS, b'{"type":"BOOKMARK","object":' + bookmark + b"}", TARGET)
    assert (event.type, event.resource_version, event.initial_events_end) == ("BOOKMARK", "9", True)
    strange = b'{"metadata":{"name":"a","namespace":"n","resourceVersion":"8"},"spec":[]}'
    event = decode_event(PODS, b'{"type":"MODIFIED","object":' + strange + b"}", TARGET)
    assert (event.key, event.resource_version, event.object) == ("n/a", "8", None)
    assert event.undecodable is not None
    status = b'{"kind":"Status","code":410,"reason":"Expired","message":"too old"}'
    with pytest.raises(ApiError, match="GET /api/v1/pods: 410 Expired: too old") as caught:
        decode_event(PODS, b'{"type":"ERROR","object":' + status + b"}", TARGET)
    assert caught.value.status == 410


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"null",
        b"<html>200 OK</html>",
        b'{"status":"ok"}',
        b'{"items":[]}',
        b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}',
        b'{"kind":"APIResourceList","groupVersion":"v1","resources":[]}',
        b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"7"}}',
        b'{"kind":"PodList","apiVersion":"v2","metadata":{"resourceVersion":"7"},"items":[]}',
        b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}',
    ],
)
def test_an_answer_that_is_no_list_is_not_an_empty_one(data: bytes) -> None:
    with pytest.raises(UnexpectedAnswer, match="no list of Pod"):
        decode_page(PODS, data, "GET /api/v1/pods")


def test_an_empty_list_is_one() -> None:
    data = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":null}'
    assert decode_page(PODS, data, "GET /api/v1/pods")[0].items == ()


def test_a_page_keeps_its_good_objects_beside_bad_ones() -> None:
    page, token = decode_page(
        PODS,
        b'{"metadata":{"resourceVersion":"5","continue":"more"},"items":['
        b'{"metadata":{"name":"a","namespace":"n"}},{"metadata":{"name":"b","namespace":"n"},"spec":1},'
        b'{"metadata":3},4]}',
        "GET x",
    )
    assert ([each.metadata.name for each in page.items], page.resource_version, token) == (["a"], "5", "more")
    assert [bad.key for bad in page.undecodable] == ["n/b", "", ""]
    for wrong in (b"[]", b"{", b'{"items":1}', b"\xff"):
        with pytest.raises(UnexpectedAnswer, match="GET x: no list of Pod"):
            decode_page(PODS, wrong, "GET x")
