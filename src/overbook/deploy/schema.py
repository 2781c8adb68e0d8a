"""Structural OpenAPI v3 schemas from msgspec structs, which are the only source of a custom resource.

A spec, which people write, is checked strictly: bounds, words, defaults; an unknown field is refused or
pruned. A status, which Overbook writes, has only types, and unknown fields are kept. Reason: server-side
apply answers 500 to a field that a definition does not declare, and a new field of a newer Overbook must not
make an older definition refuse a node's whole status.
"""

import re
from collections.abc import Mapping
from inspect import cleandoc
from typing import Any, Final

import msgspec
import msgspec.inspect

Schema = dict[str, Any]
Bounds = tuple[int, int]


class Limits(msgspec.Struct, frozen=True):
    """Limits that a struct itself does not contain.

    Attributes:
        most_items: the most items of a list, by struct and field.
        bounds: the bounds of a number that a rule checks, by struct and field.
        words: the words that a rule allows for a text, by struct and field.
    """

    most_items: Mapping[tuple[type, str], int] = {}
    bounds: Mapping[tuple[type, str], Bounds] = {}
    words: Mapping[tuple[type, str], tuple[str, ...]] = {}


def schema_of(kind: type[msgspec.Struct], limits: Limits, *, written_by_people: bool) -> Schema:
    """The schema of a struct.

    Args:
        kind: the struct.
        limits: the limits of its lists and numbers.
        written_by_people: check bounds and words and fill in defaults; otherwise only types.

    Raises:
        TypeError: a field has a type without a schema, or a list has no limit.
    """
    return _Writer(limits, written_by_people).struct(kind)


class _Writer:
    def __init__(self, limits: Limits, strict: bool) -> None:
        self._limits = limits
        self._strict = strict

    def struct(self, kind: type[msgspec.Struct]) -> Schema:
        described = attributes(kind)
        properties: dict[str, Schema] = {}
        required = []
        info = msgspec.inspect.type_info(kind)
        assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101 - what type_info of a struct is
        for field in info.fields:
            properties[field.encode_name] = self._field(kind, field, described.get(field.name, ""))
            if field.required:
                required.append(field.encode_name)
        schema: Schema = {"type": "object", "description": summary(kind), "properties": properties}
        if required:
            schema["required"] = required
        if not self._strict:
            schema["x-kubernetes-preserve-unknown-fields"] = True
        return schema

    def _field(self, kind: type, field: msgspec.inspect.Field, description: str) -> Schema:
        place = (_declaring(kind, field.name), field.name)
        schema = self._type(field.type, place)
        if description:
            schema["description"] = description
        words = _words(field.type) or list(self._limits.words.get(place, ()))
        if words and self._strict:
            schema["enum"] = words
        elif words:
            schema["description"] = f"{description} One of {', '.join(words)}.".lstrip()
        if self._strict:
            if place in self._limits.bounds:
                schema["minimum"], schema["maximum"] = self._limits.bounds[place]
            if field.default not in (msgspec.NODEFAULT, None, ""):
                schema["default"] = _default(field.default)
        return dict(sorted(schema.items(), key=lambda entry: _ORDER.index(entry[0])))

    def _type(self, declared: msgspec.inspect.Type, place: tuple[type, str]) -> Schema:
        if isinstance(declared, msgspec.inspect.UnionType):
            of = [member for member in declared.types if not isinstance(member, msgspec.inspect.NoneType)]
            if len(of) == 1:
                return self._type(of[0], place)
        if isinstance(declared, msgspec.inspect.StructType):
            return self.struct(declared.cls)
        if isinstance(declared, msgspec.inspect.VarTupleType):
            if place not in self._limits.most_items:
                raise TypeError(f"{place[0].__name__}.{place[1]} is a list without a limit")
            return {
                "type": "array",
                "maxItems": self._limits.most_items[place],
                "x-kubernetes-list-type": "atomic",
                "items": self._type(declared.item_type, place),
            }
        if isinstance(declared, msgspec.inspect.DictType) and isinstance(
            declared.key_type, msgspec.inspect.StrType
        ):
            return {"type": "object", "additionalProperties": self._type(declared.value_type, place)}
        if isinstance(declared, msgspec.inspect.IntType):
            return self._integer(declared)
        for known, name in _PLAIN.items():
            if isinstance(declared, known):
                return {"type": name}
        raise TypeError(f"{place[0].__name__}.{place[1]}: there is no schema for {declared}")

    def _integer(self, declared: msgspec.inspect.IntType) -> Schema:
        schema: Schema = {"type": "integer", "format": "int64"}
        bounds = (("minimum", declared.ge), ("maximum", declared.le)) if self._strict else ()
        return schema | {word: value for word, value in bounds if value is not None}


def _declaring(kind: type, name: str) -> type:
    """The class that declares a struct's field, which may be a base class."""
    above = [base for base in kind.__mro__ if issubclass(base, msgspec.Struct) and base is not msgspec.Struct]
    return next(base for base in reversed(above) if name in base.__struct_fields__)


def _default(value: Any) -> Any:
    """A field's default. For a struct it is empty, and the API server adds the defaults inside."""
    if isinstance(value, msgspec.Struct) and value == type(value)():
        return {}
    return msgspec.to_builtins(value)


def _words(declared: msgspec.inspect.Type) -> list[str]:
    """The words of a Literal, also of an optional one."""
    if isinstance(declared, msgspec.inspect.UnionType):
        return next((_words(member) for member in declared.types if _words(member)), [])
    return (
        [str(word) for word in declared.values] if isinstance(declared, msgspec.inspect.LiteralType) else []
    )


_PLAIN: Final[Mapping[type[msgspec.inspect.Type], str]] = {
    msgspec.inspect.StrType: "string",
    msgspec.inspect.LiteralType: "string",
    msgspec.inspect.BoolType: "boolean",
    msgspec.inspect.FloatType: "number",
}
_ORDER: Final = (
    "type",
    "format",
    "description",
    "enum",
    "default",
    "minimum",
    "maximum",
    "maxItems",
    "x-kubernetes-list-type",
    "additionalProperties",
    "items",
    "properties",
    "required",
    "x-kubernetes-preserve-unknown-fields",
)


_SECTION: Final = re.compile(r"^(\w+):$")
_ATTRIBUTE: Final = re.compile(r"^ {4}(\w+): (.*)$")
_ROLE: Final = re.compile(r":\w+:`([^`]+)`")


def summary(kind: type) -> str:
    """The first paragraph of a class's docstring, in one line."""
    return _plain(cleandoc(kind.__doc__ or "").partition("\n\n")[0])


def attributes(kind: type) -> dict[str, str]:
    """The texts of the section ``Attributes`` of a class and its base classes, each in one line."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        found |= _own_attributes(base)
    return found


def _own_attributes(kind: type) -> dict[str, str]:
    found: dict[str, str] = {}
    section = name = ""
    for line in cleandoc(kind.__doc__ or "").splitlines():
        if heading := _SECTION.match(line):
            section = heading[1]
        elif section != "Attributes":
            continue
        elif attribute := _ATTRIBUTE.match(line):
            name = attribute[1]
            found[name] = attribute[2]
        elif name:
            found[name] += " " + line.strip()
    return {name: _plain(text) for name, text in found.items()}


def _plain(text: str) -> str:
    """One line that begins with a capital letter, as descriptions in Kubernetes do."""
    line = " ".join(_ROLE.sub(r"\1", text).replace("``", "`").split())
    return line[:1].upper() + line[1:]
