"""OpenShift's Templates: the objects that ``oc process`` makes of one, with the parameters' default values.

Source: openshift/library-go ``pkg/template/templateprocessing`` and ``generator/expressionvalue.go``.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from overbook.core.errors import InvalidInput

_TEXT: Final = re.compile(r"\$\{([a-zA-Z0-9_]+?)\}")
_WHOLE: Final = re.compile(r"^\$\{\{([a-zA-Z0-9_]+?)\}\}$")
_CLASS: Final = re.compile(r"(\\[waAd]|\[[^\]]+\])(?:\{([0-9]{1,3})(?:,[0-9]{1,3})?\})?")
_FIRST: Final = {r"\w": "a", r"\a": "a", r"\A": "A", r"\d": "0"}
_MOST_CHARACTERS: Final = 255


def processed(manifest: Mapping[str, Any], where: str) -> list[Any]:
    """The objects of a Template with its parameters filled in.

    A generated value is random in a cluster; here it is the first that its expression allows.

    Args:
        manifest: the Template.
        where: the object, for messages.

    Raises:
        InvalidInput: a parameter is required and has no value, or a field has the wrong type.
    """
    objects = manifest.get("objects")
    if objects is None:
        return []
    if not isinstance(objects, list):
        raise InvalidInput(f"{where} objects", objects, "a list of objects")
    values = _values(manifest.get("parameters"), where)
    return [_object(one, values) for one in objects]


def _values(parameters: Any, where: str) -> dict[str, str]:
    values: dict[str, str] = {}
    if parameters is None:
        return values
    if not isinstance(parameters, list):
        raise InvalidInput(f"{where} parameters", parameters, "a list of parameters")
    for parameter in parameters:
        name = parameter.get("name") if isinstance(parameter, dict) else None
        if not isinstance(name, str):
            raise InvalidInput(f"{where} parameters: name", name, "a name for each parameter")
        value = parameter.get("value")
        if value in (None, "") and parameter.get("generate") == "expression":
            value = _generated(str(parameter.get("from") or ""))
        if value in (None, "") and parameter.get("required") is True:
            raise InvalidInput(
                f"{where} parameters: {name}", value, "a value: it is required; use oc process -p for it"
            )
        values[name] = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return values


def _generated(expression: str) -> str:
    def first(match: re.Match[str]) -> str:
        known = _FIRST.get(match[1])
        character = known or match[1][1]
        return (character if character != "\\" else "a") * min(int(match[2] or 1), _MOST_CHARACTERS)

    return _CLASS.sub(first, expression)


def _object(one: Any, values: Mapping[str, str]) -> Any:
    metadata = one.get("metadata") if isinstance(one, dict) else None
    namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
    if isinstance(namespace, str) and not _TEXT.search(namespace):
        # A namespace that is written out is dropped: the objects go where the Template is processed.
        assert isinstance(metadata, dict)  # noqa: S101 - for the type checker
        one = {**one, "metadata": {key: text for key, text in metadata.items() if key != "namespace"}}
    return _filled(one, values)


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _text(value, values)
    if isinstance(value, list):
        return [_filled(one, values) for one in value]
    if isinstance(value, dict):
        return {str(_filled(key, values)): _filled(one, values) for key, one in value.items()}
    return value


def _text(text: str, values: Mapping[str, str]) -> Any:
    whole = _WHOLE.match(text)
    if whole is not None and whole[1] in values:
        try:
            return json.loads(values[whole[1]])
        except ValueError:
            return values[whole[1]]
    return _TEXT.sub(lambda match: values.get(match[1], match[0]), text)
