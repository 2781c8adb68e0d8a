"""An OvercommitNode is built in which every field has a value."""

from typing import Any, Final

from msgspec import inspect

from overbook.core.api.group import API_VERSION
from overbook.core.api.overcommit_node import OvercommitNodeStatus


def full_status() -> dict[str, Any]:
    """Return a status in which no field and no list is empty."""
    found: dict[str, Any] = _full(inspect.type_info(OvercommitNodeStatus))
    return found


def full_node(name: str = "recorded") -> dict[str, Any]:
    """Return the whole OvercommitNode."""
    return {
        "apiVersion": API_VERSION,
        "kind": "OvercommitNode",
        "metadata": {"name": name},
        "status": full_status(),
    }


_EXAMPLES: Final[dict[type[inspect.Type], Any]] = {
    inspect.StrType: "2026-01-02T03:04:05.000006Z",
    inspect.IntType: 7,
    inspect.FloatType: 0.5,
    inspect.BoolType: True,
}


def _full(declared: inspect.Type) -> Any:
    if isinstance(declared, inspect.UnionType):
        return _full(next(each for each in declared.types if not isinstance(each, inspect.NoneType)))
    if isinstance(declared, inspect.StructType):
        return {field.encode_name: _full(field.type) for field in declared.fields}
    if isinstance(declared, inspect.VarTupleType):
        return [_full(declared.item_type)]
    if isinstance(declared, inspect.LiteralType):
        return min(map(str, declared.values))
    return _EXAMPLES[type(declared)]
