"""OvercommitNodes that lie in every field: whatever their definition allows, and the API server stores."""

from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

from overbook.core.api.group import API_VERSION
from overbook.core.api.overcommit_node import OvercommitNodeStatus

LIES = st.sampled_from(
    [
        "",
        "/",
        "shop/",
        "/virt-launcher",
        "a/b/c",
        "shop/wild",
        "\x1b[2J\x1b]0;owned\x07",
        "\n# HELP x\nx 1\n",
        '"}\n',
        "\u202ereversed",
        "𝕫" * 1024,
        "x" * 20_000,
        "9999-12-31T23:59:59.999999Z",
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2026-11-22T09:30:00Z",
        "2026-02-31T00:00:00Z",
        "2026-11-22T09:30:00+99:99",
        "disruption budget ",
        "--kubeconfig=/etc/passwd; rm -rf /",
    ]
)
NUMBERS = st.sampled_from([0, 1, -1, 2**31, 2**53, 2**63 - 1, -(2**63)])
RATIOS = st.sampled_from([0.0, 1e308, -1e308, 5e-324, 0.5, -0.0])
MOST_ITEMS = 24


def lying_nodes(name: str = "n") -> st.SearchStrategy[dict[str, Any]]:
    """Whole OvercommitNodes of a name."""
    about = {"name": name, "uid": name, "resourceVersion": "7"}
    whole = {"apiVersion": API_VERSION, "kind": "OvercommitNode", "metadata": about}
    return _lies(inspect.type_info(OvercommitNodeStatus)).map(lambda status: {**whole, "status": status})


def _lies(declared: inspect.Type) -> st.SearchStrategy[Any]:
    if isinstance(declared, inspect.UnionType):
        return st.one_of([_lies(each) for each in declared.types if not isinstance(each, inspect.NoneType)])
    if isinstance(declared, inspect.StructType):
        # Not from_type: a field may be missing only where the definition does not require it.
        required = {field.encode_name: _lies(field.type) for field in declared.fields if field.required}
        optional = {field.encode_name: _lies(field.type) for field in declared.fields if not field.required}
        return st.fixed_dictionaries(required, optional=optional)
    if isinstance(declared, inspect.VarTupleType):
        return st.lists(_lies(declared.item_type), max_size=MOST_ITEMS)
    if isinstance(declared, inspect.LiteralType):
        return st.sampled_from(sorted(map(str, declared.values)))
    if isinstance(declared, inspect.BoolType):
        return st.booleans()
    if isinstance(declared, inspect.FloatType):
        return RATIOS
    return NUMBERS if isinstance(declared, inspect.IntType) else LIES
