import itertools

from hypothesis import given
from hypothesis import strategies as st

from overbook_sandbox.machine.output import OutputReader, OutputSplitter

STREAM = b"\nM started\none\r\ntwo \xff M\n\nlastM exit 137\n"


@given(st.lists(st.integers(0, len(STREAM))))
def test_lines_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    reader = OutputReader("M")
    edges = sorted([0, *cuts, len(STREAM)])
    pieces = [STREAM[start:end] for start, end in itertools.pairwise(edges)]
    lines = [line for piece in pieces for line in reader.feed(piece)]
    assert lines == ["", "one", "two � M", "", "last"]
    assert reader.started
    assert reader.exit_status == 137


def test_output_is_reported_only_once_it_happened() -> None:
    reader = OutputReader("M")
    assert list(reader.feed(b"early\nM start")) == ["early"]
    assert not reader.started
    assert reader.exit_status is None


def test_an_unfinished_line_is_kept() -> None:
    lines = OutputSplitter()
    assert list(lines.feed(b"a\nb")) == ["a"]
    assert lines.rest() == "b"
