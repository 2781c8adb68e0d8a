import pytest

from overbook.kube.files.manifests import read_documents
from overbook.kube.files.yaml_documents import yaml_documents


def value(text: str) -> object:
    return next(yaml_documents(f"v: {text}\n", "f"))[2]["v"]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("null", None),
        ("12", 12),
        ("-0x1F", -31),
        ("010", 8),
        ("0b11", 3),
        ("1_000", 1000),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("512Mi", "512Mi"),
        ("0x", "0x"),
        (".inf", ".inf"),
        ("'12'", "12"),
        ('"yes"', "yes"),
        ("!!str 12", "12"),
        ("089", 89.0),
    ],
)
def test_scalars_have_their_type(text: str, meaning: object) -> None:
    read = value(text)
    assert read == meaning
    assert type(read) is type(meaning)


def test_a_number_too_long_for_an_integer_is_no_crash() -> None:
    assert value("9" * 5000) == float("inf")


def test_keys_are_text_whatever_they_look_like() -> None:
    assert next(yaml_documents("{1: a, yes: b, 1.5: c, null: d}", "f"))[2] == {
        "1": "a",
        "true": "b",
        "1.5": "c",
        "null": "d",
    }


def test_aliases_and_merges_are_resolved_and_own_keys_win() -> None:
    text = "base: &b {a: 1, b: 2}\nother: {<<: *b, b: 3}\nboth: {b: 4, <<: [*b, {c: 5}]}\n"
    read = next(yaml_documents(text, "f"))[2]
    assert read["other"] == {"a": 1, "b": 3}
    assert read["both"] == {"a": 1, "b": 4, "c": 5}


def test_a_byte_order_mark_and_windows_line_ends_are_no_obstacle() -> None:
    data = b"\xef\xbb\xbfkind: Pod\r\napiVersion: v1\r\n"
    assert [document.manifest["kind"] for document in read_documents(data, "f")] == ["Pod"]


def test_a_file_may_start_with_a_bracket_and_be_yaml() -> None:
    assert next(read_documents(b"{kind: Pod, apiVersion: v1}", "f.yaml")).manifest["kind"] == "Pod"
