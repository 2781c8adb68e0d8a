"""Objects as the API takes them: JSON without what is not set."""

from collections.abc import Mapping
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()


def as_json(value: Any) -> bytes:
    """JSON, with every ``None`` in it: in a merge patch it means "remove"."""
    return _ENCODER.encode(value)


def as_object(value: msgspec.Struct | Mapping[str, Any]) -> dict[str, Any]:
    """An object as plain values, without what is ``None`` at any level: for the API that is "not said"."""
    plain: dict[str, Any] = _without_none(msgspec.to_builtins(value))
    return plain


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_none(inner) for inner in value]
    return value
