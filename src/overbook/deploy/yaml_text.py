"""YAML in a readable form: block style, expressions on separate lines, no aliases."""

from collections.abc import Iterable
from typing import Any, Final

import yaml

_WIDTH: Final = 110


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - as above
        super().increase_indent(flow, indentless=False)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(documents: Iterable[Any], *, width: int = _WIDTH) -> str:
    """The documents as one YAML text for ``kubectl``; lines longer than ``width`` are folded."""
    return "---\n".join(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=width, allow_unicode=True)
        for document in documents
    )
