"""YAML that is longer than what is held in memory: read object by object, in the same way as short YAML."""

import io
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from overbook.kube.files.manifests import Document, read_documents
from overbook.kube.files.yaml_documents import MAX_MALFORMED, yaml_objects
from overbook.kube.files.yaml_input import YamlFile

ITEM = "- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: p-{}\n"
LIST = "apiVersion: v1\nitems:\n{}kind: List\nmetadata:\n  resourceVersion: ''\n"


def read(text: str | bytes, start: int = 40) -> tuple[list[Document], list[InvalidInput]]:
    """Return the objects of a long input, of which so many bytes were read at once, and the errors."""
    data = text.encode() if isinstance(text, str) else text
    errors: list[InvalidInput] = []
    found = read_documents(data[:start], "f.yaml", errors.append, io.BytesIO(data[start:]), long_yaml=True)
    return list(found), errors


def names(found: list[Document]) -> list[Any]:
    return [one.manifest["metadata"]["name"] for one in found]


def test_the_items_of_a_list_come_one_by_one() -> None:
    found, errors = read(LIST.format("".join(ITEM.format(number) for number in range(3))))
    assert (names(found), errors) == (["p-0", "p-1", "p-2"], [])
    assert [one.where for one in found] == [f"f.yaml, document 1, item {number}" for number in (1, 2, 3)]


ONE = "kind: Pod\napiVersion: v1\nmetadata: {name: a}\n"
OTHER = ONE.replace("a}", "b}")


@pytest.mark.parametrize(
    "text",
    [
        "kind: PodList\napiVersion: v1\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n",
        "items:\n- metadata: {name: a}\n- metadata: {name: b}\nkind: PodList\napiVersion: v1\n",
        "---\n" + ONE + "---\n" + OTHER,
        LIST.format(LIST.format(ITEM.format("x")).replace("\n", "\n  ").join(("- ", "\n"))).replace(
            "p-x", "a"
        )
        + "---\n"
        + OTHER,
        ONE + "---\n\ufeff" + OTHER,
        (ONE + "---\n" + OTHER).replace("\n", "\r\n"),
    ],
)
def test_all_forms_are_read_as_in_short_input(text: str) -> None:
    found, errors = read(text)
    assert (names(found), errors) == (["a", "b"], [])
    assert names(list(read_documents(text.encode(), "f.yaml"))) == ["a", "b"]


def test_an_object_with_items_of_its_own_is_no_list() -> None:
    found, errors = read("kind: Menu\napiVersion: x/v1\nmetadata: {name: m}\nitems:\n- milk\n- {kind: Tea}\n")
    assert (names(found), errors) == (["m"], [])
    assert found[0].manifest["items"] == ["milk", {"kind": "Tea"}]


def test_reading_goes_on_after_a_malformed_document() -> None:
    good = "---\nkind: Pod\napiVersion: v1\nmetadata:\n  name: {}\n"
    bad = "---\nkind: Pod\n\tapiVersion: v1\n"
    found, (error,) = read(good.format("a") + bad + good.format("b"))
    assert names(found) == ["a", "b"]
    assert "document 2, line 8" in str(error)
    assert "tabs" in str(error)


def test_a_malformed_document_far_behind_has_its_line() -> None:
    filler = "# " + "x" * 97 + "\n"
    good = "---\nkind: Pod\napiVersion: v1\nmetadata:\n  name: {}\n"
    text = good.format("a") + filler * 60_000 + "---\nkind: {\n" + filler * 30_000 + good.format("b")
    found, (error,) = read(text)
    assert names(found) == ["a", "b"]
    assert "document 2, line 90008" in str(error)
    assert [one.line for one in found] == [1, 90_008]


def test_bytes_that_are_no_text_are_named_with_their_line() -> None:
    good = b"kind: Pod\napiVersion: v1\nmetadata:\n  name: a\n"
    for wrong in (b"\xff", b"\0"):
        _, errors = read(good + b"---\nkind: " + wrong + b"\n")
        assert "line 6" in str(errors[0])


def test_too_many_malformed_documents_end_the_reading() -> None:
    _, errors = read("---\n{\n" * (MAX_MALFORMED + 50))
    assert len(errors) == MAX_MALFORMED + 1


def test_an_object_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overbook.kube.files.yaml_documents.MAX_NODES", 1000)
    found, (error,) = read("kind: Pod\napiVersion: v1\nx:\n" + "- 1\n" * 2000)
    assert not found
    assert "smaller objects" in str(error)


def test_a_list_needs_no_more_memory_than_an_item() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"apiVersion: v1\nitems:\n"
        for number in range(20_000):
            yield ITEM.format(number).encode() + b"  x: " + b"y" * 900 + b"\n"
        yield b"kind: List\n"

    source = blocks()
    errors: list[InvalidInput] = []

    class File(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            del size
            return next(source, b"")

    tracemalloc.start()
    count = len([one.item for one in yaml_objects(YamlFile(b"", File()), "f.yaml", errors.append)])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (count, errors) == (20_000, [])
    assert most < 8 << 20


def test_long_yaml_is_refused_where_nobody_asks_for_it() -> None:
    errors: list[InvalidInput] = []
    assert not list(read_documents(b"kind: Pod\n", "f.yaml", errors.append, io.BytesIO(b"a: b\n")))
    assert "10 MiB" in str(errors[0])
