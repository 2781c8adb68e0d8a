"""Reads the text exposition format as strictly as Prometheus."""

import re

METRIC = re.compile(r"([a-z_]+)(?:\{((?:[a-z]+=\"(?:[^\"\\\n]|\\.)*\",?)+)\})? (-?[0-9.e+-]+|NaN)")
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')
Exposition = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Exposition:
    """Parse the text exposition format; each metric must have HELP and TYPE before it and come once."""
    found: Exposition = {}
    declared: list[str] = []
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind == ("counter" if name.endswith("_total") else "gauge")
            assert name == declared[-1]
        elif line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in declared
            declared.append(name)
        else:
            match = METRIC.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            assert name == declared[-1]
            pairs = tuple(
                (key, re.sub(r"\\(.)", _unescaped, text)) for key, text in LABEL.findall(labels or "")
            )
            assert (name, pairs) not in found
            found[name, pairs] = float(value)
    return found


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
