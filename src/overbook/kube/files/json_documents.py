"""JSON manifests: one document per file. Errors name the line. Pod lists are decoded directly.

A list of pods as ``kubectl get pods --output json`` writes it is decoded directly into structs, so ten
thousand pods take about a second.
"""

import re
from typing import Any, Final, NoReturn

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod

CHECKED_BYTES: Final = 1 << 20
"""Files up to this size are checked for duplicate keys. Larger ones are written by programs, without any."""
MAX_DEPTH: Final = 200
_TOKEN: Final = re.compile(rb'"(?P<text>(?:[^"\\]|\\.)*+)"(?P<key>\s*+:)?+|[{}\[\]]')
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
        _raise_malformed(data, name, str(error), error)


def check_keys(data: bytes, name: str) -> None:
    """Refuse JSON that has a key twice in one object, as the API server's strict decoding does.

    Raises:
        InvalidInput: an object has a key twice, or the nesting is too deep.
    """
    stack: list[set[bytes] | None] = []
    for token in _TOKEN.finditer(data):
        if token["key"] is not None:
            keys = stack[-1]
            text = token["text"]
            if keys is None:
                continue
            if text in keys:
                key = text.decode("utf-8", "replace")
                raise InvalidInput(
                    f"{name}, line {_line(data, token.start())}", key, "each key once in an object"
                )
            keys.add(text)
        elif token["text"] is None:
            bracket = token[0]
            if bracket in b"{[":
                stack.append(set() if bracket == b"{" else None)
                if len(stack) > MAX_DEPTH:
                    where = f"{name}, line {_line(data, token.start())}"
                    raise InvalidInput(where, "too many levels", f"at most {MAX_DEPTH} levels of nesting")
            else:
                stack.pop()


def _raise_malformed(data: bytes, name: str, problem: str, error: Exception) -> NoReturn:
    truncated = "truncated" in problem
    offset = _OFFSET.search(problem)
    position = len(data) if truncated else int(offset[1]) if offset else 0
    line = _line(data, position)
    start = data.rfind(b"\n", 0, position) + 1
    end = data.find(b"\n", position)
    quoted = data[start : end if end >= 0 else len(data)][:200].decode("utf-8", "replace")
    if truncated:
        expected = "a whole JSON document; this one is cut off"
    else:
        expected = f"JSON ({problem.removeprefix('JSON is malformed: ')})"
    raise InvalidInput(f"{name}, line {line}", quoted, expected) from error


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


_POD_LIST_DECODER = msgspec.json.Decoder(_PodList)
