"""The version before and the version after read what a version writes.

`recorded` holds an object as each released version wrote it, with everything in it. It is added to, never
changed.
"""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from overbook.core.api.overcommit_node import OvercommitNode
from tests.deploy.full_node import full_node

RECORDED = sorted((Path(__file__).parent / "recorded").glob("overcommit-node-*.json"))


def read(node: dict[str, Any]) -> OvercommitNode:
    """Decode an object as both sides read it from the API."""
    return msgspec.json.decode(json.dumps(node).encode(), type=OvercommitNode)


def places(value: Any) -> Iterator[dict[str, Any]]:
    """Return every object inside an object."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from places(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from places(inner)


@pytest.mark.parametrize("record", RECORDED, ids=lambda path: path.stem)
def test_objects_of_released_versions_are_read_without_loss(record: Path) -> None:
    written = json.loads(record.read_text(encoding="utf-8"))
    now = msgspec.to_builtins(read(written))
    for path, value in leaves(written):
        assert leaf(now, path) == value, path


def test_fields_of_a_newer_version_are_passed_over() -> None:
    plain = full_node()
    newer = copy.deepcopy(plain)
    for place in list(places(newer["status"])):
        place["fieldOfANewerVersion"] = {"any": ["thing"]}
    assert read(newer) == read(plain)


def test_a_field_that_an_older_version_lacks_is_its_default() -> None:
    needed = {
        "uid",
        "namespace",
        "name",
        "id",
        "decidedAt",
        "at",
        "action",
        "sentence",
        "word",
        "type",
        "status",
    }
    needed |= {"lastTransitionTime", "reason", "label", "message", "requestId", "victim", "outcome"}
    needed |= {"startedAt", "finishedAt"}
    older = full_node()
    for place in list(places(older["status"])):
        for field in [field for field in place if field not in needed and not isinstance(place[field], dict)]:
            if not isinstance(place[field], list):
                del place[field]
    node = read(older)
    assert node.status.pressure.state == "None"
    assert node.status.memory.available_bytes is None
    assert node.status.request is not None
    assert node.status.request.candidates[0].excluded == ""


def test_a_status_without_the_other_sides_part_is_whole() -> None:
    for absent in ("relief", "request", "decisions", "problems", "conditions", "memory", "swap", "pressure"):
        node = full_node()
        del node["status"][absent]
        assert isinstance(read(node), OvercommitNode)
    assert read({"metadata": {"name": "new"}}).status.relief is None


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path, value


def leaf(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value
