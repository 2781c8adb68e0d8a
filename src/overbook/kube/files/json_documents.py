"""JSON manifests of moderate size. Errors name the line. Pod lists are decoded directly.

A list of pods as ``kubectl get pods --output json`` writes it is decoded directly into structs, so ten
thousand pods take about a second.
"""

import re
from typing import Any, Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod

CHECKED_BYTES: Final = 1 << 20
"""Files up to this size are checked for duplicate keys. Larger ones are written by programs, without any."""
MAX_DEPTH: Final = 200
_TOKEN: Final = re.compile(rb'"(?P<text>(?:[^"\\]|\\.)*+)"(?P<key>\s*+:)?+|[{}\[\]]')
_SEPARATOR: Final = re.compile(rb"^---(?=[ \t\r]*$)", re.MULTILINE)
_START: Final = re.compile(rb"(?:[ \t\r\n]|\xef\xbb\xbf|(?<![^\n])---(?=[ \t\r\n]|\Z))*+")
_NEXT: Final = re.compile(rb"^(?:---(?=[ \t\r]*$)|\{)", re.MULTILINE)
_OFFSET: Final = re.compile(r"\(byte ([0-9]+)\)")


class _PodList(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    kind: str
    items: tuple[Pod, ...]
    api_version: str | None = None


def pod_list(data: bytes) -> tuple[Pod, ...] | None:
    """The pods of a ``PodList``, or of a ``List`` of only pods; ``None`` for any other document.

    It raises no error for malformed data: reading the document in the general way gives a better message.
    """
    try:
        listed = _POD_LIST_DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if listed.api_version != "v1" or listed.kind not in ("PodList", "List"):
        return None
    # In a PodList the API omits kind and apiVersion of the items.
    untyped = listed.kind == "PodList"
    for pod in listed.items:
        if pod.kind is None and pod.api_version is None and untyped:
            continue
        if pod.kind != "Pod" or pod.api_version != "v1":
            return None
    return listed.items


def json_document(data: bytes, name: str) -> Any:
    """The value of a JSON file.

    Raises:
        InvalidInput: malformed, cut off, nested too deep, or with a key twice in one object.
    """
    try:
        return msgspec.json.decode(data)
    except RecursionError as error:
        raise InvalidInput(name, "too many levels", f"at most {MAX_DEPTH} levels of nesting") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(data, name, str(error)) from error


def starts_json(data: bytes) -> bool:
    """Whether the next document of a text, after any ``---``, is JSON."""
    match = _START.match(data)
    return match is not None and data[match.end() : match.end() + 1] in (b"{", b"[")


def end_of_json(data: bytes) -> int:
    """Where the JSON documents at the beginning of a text end: before the next ``---``, else at its end."""
    start = _START.match(data)
    match = _SEPARATOR.search(data, start.end() if start else 0)
    return match.start() if match else len(data)


def next_json(data: bytes, line: int) -> int:
    """Where reading goes on after a malformed document: the next line that begins with a brace or ``---``.

    Args:
        data: the text.
        line: the line in which the malformed document begins, from 1.
    """
    offset = 0
    for _ in range(line):
        offset = data.find(b"\n", offset) + 1
        if not offset:
            return len(data)
    match = _NEXT.search(data, offset)
    return match.start() if match else len(data)


def check_keys(data: bytes, name: str, lines_before: int = 0) -> None:
    """Refuse JSON that has a key twice in one object, as the API server's strict decoding does.

    Args:
        data: well-formed JSON, one document or several.
        name: the file, for messages.
        lines_before: the number of lines of the file before ``data``.

    Raises:
        InvalidInput: an object has a key twice, or the nesting is too deep.
    """
    stack: list[set[bytes] | None] = []
    for token in _TOKEN.finditer(data):
        if token["key"] is not None:
            keys = stack[-1] if stack else None
            text = token["text"]
            if keys is None:
                continue
            if text in keys:
                key = text.decode("utf-8", "replace")
                raise InvalidInput(
                    f"{name}, line {lines_before + _line(data, token.start())}",
                    key,
                    "each key once in an object",
                )
            keys.add(text)
        elif token["text"] is None:
            bracket = token[0]
            if bracket in b"{[":
                stack.append(set() if bracket == b"{" else None)
                if len(stack) > MAX_DEPTH:
                    where = f"{name}, line {lines_before + _line(data, token.start())}"
                    raise InvalidInput(where, "too many levels", f"at most {MAX_DEPTH} levels of nesting")
            elif stack:
                stack.pop()


def malformed(data: bytes, name: str, problem: str, lines_before: int = 0) -> InvalidInput:
    """The error for text that is not JSON, with the line in which that shows.

    Args:
        data: the text.
        name: the file.
        problem: the decoder's message, with its ``(byte N)``.
        lines_before: the number of lines of the file before ``data``.
    """
    truncated = "truncated" in problem
    offset = _OFFSET.search(problem)
    position = len(data) if truncated else int(offset[1]) if offset else 0
    start = data.rfind(b"\n", 0, position) + 1
    end = data.find(b"\n", position)
    quoted = data[start : end if end >= 0 else len(data)][:200].decode("utf-8", "replace")
    if truncated:
        expected = "a whole JSON document; this one is cut off"
    else:
        expected = f"JSON ({problem.removeprefix('JSON is malformed: ')})"
    return InvalidInput(f"{name}, line {lines_before + _line(data, position)}", quoted, expected)


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


_POD_LIST_DECODER = msgspec.json.Decoder(_PodList)
