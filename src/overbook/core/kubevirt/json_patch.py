"""The JSON patch by which a HyperConverged object changes what its own fields do not reach."""

import itertools
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from overbook.core.errors import InvalidInput

_CONFIGURATION_PATH: Final = ("spec", "configuration")


def patch_configuration(document: dict[str, Any], text: object, where: str) -> None:
    """Apply the operations of a JSON patch that change ``spec.configuration`` of a KubeVirt object.

    Args:
        document: the object, which is changed.
        text: the patch.
        where: the patch, for messages.

    Raises:
        InvalidInput: the text is no JSON patch, or has a path that leads nowhere.
    """
    try:
        operations = msgspec.json.decode(text if isinstance(text, str) else "", type=list[dict[str, Any]])
    except msgspec.MsgspecError as error:
        raise InvalidInput(where, text, "a JSON patch, such as [{op, path, value}]") from error
    for operation in operations:
        path = operation.get("path")
        steps = path.split("/")[1:] if isinstance(path, str) else []
        parts = [step.replace("~1", "/").replace("~0", "~") for step in steps]
        if tuple(parts[:2]) != _CONFIGURATION_PATH or len(parts) == len(_CONFIGURATION_PATH):
            continue
        try:
            _change(document, parts, operation)
        except (ValueError, IndexError, TypeError) as error:
            raise InvalidInput(f"{where}: path", path, "a path that is in the KubeVirt object") from error


def _change(document: dict[str, Any], parts: list[str], operation: Mapping[str, Any]) -> None:
    """Change one place of a document; objects on the way that the operator would have written are made."""
    place: Any = document
    for part, after in itertools.pairwise(parts):
        if isinstance(place, list):
            place = place[int(part)]
            continue
        if not isinstance(place.get(part), dict | list):
            place[part] = [] if after == "-" else {}
        place = place[part]
    last, value = parts[-1], operation.get("value")
    match operation.get("op"), place:
        case "add", list():
            place.insert(len(place) if last == "-" else int(last), value)
        case "replace", list():
            place[int(last)] = value
        case "remove", list():
            del place[int(last)]
        case (("add" | "replace"), _):
            place[last] = value
        case "remove", _:
            place.pop(last, None)
