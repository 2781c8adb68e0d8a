import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.kube.api.http import MOST_LINE_BYTES, MOST_TRAILERS, ChunkError, Chunks


def chunked(parts: list[bytes], trailers: bytes = b"") -> bytes:
    body = b"".join(b"%x;note=1\r\n%s\r\n" % (len(part), part) for part in parts if part)
    return body + b"0\r\n" + trailers + b"\r\n"


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(min_value=1, max_value=50), min_size=1))
def test_the_body_is_the_same_wherever_it_is_cut(parts: list[bytes], cuts: list[int]) -> None:
    data = chunked(parts, b"X-Trailer: 1\r\n") + b"stray"
    chunks, found, at, turn = Chunks(), b"", 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        found += chunks.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert found == b"".join(parts)
    assert chunks.ended
    assert chunks.rest == b"stray"


def test_a_chunked_body_ends_with_its_last_line_and_not_before() -> None:
    chunks = Chunks()
    assert chunks.feed(b"3\r\nabc\r\n0\r\n") == b"abc"
    assert not chunks.ended
    chunks.feed(b"\r\n")
    assert chunks.ended


@pytest.mark.parametrize(
    "data",
    [
        b"xyz\r\n",
        b"-1\r\n",
        b"\r\n",
        b"f" * 16 + b"\r\n",
        b"3\r\nabcd\r\n",
        b"0\r\n" + b"A: b\r\n" * (MOST_TRAILERS + 1),
        b"1" * (MOST_LINE_BYTES + 1),
    ],
)
def test_a_malformed_chunk_is_refused(data: bytes) -> None:
    with pytest.raises(ChunkError):
        Chunks().feed(data)
