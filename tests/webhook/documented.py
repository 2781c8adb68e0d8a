"""The table of ``docs/webhook.md`` is read as cases."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PAGE = Path(__file__).parents[2] / "docs" / "webhook.md"
PERCENTAGES = {"memoryRequestToLimitPercent": 50, "cpuRequestToLimitPercent": 25}


class Case(NamedTuple):
    limits: dict[str, Any]
    requests: dict[str, Any]
    limit_range: dict[str, Any] | None
    requests_afterwards: dict[str, Any]
    warning: str

    @property
    def pod(self) -> dict[str, Any]:
        resources = {"limits": self.limits, "requests": self.requests}
        container = {"name": "c0", "image": "cart", "resources": resources}
        return {"metadata": {"name": "cart"}, "spec": {"containers": [container]}}


def cases() -> list[Case]:
    text = PAGE.read_text(encoding="utf-8").split("\n## ")[1]
    rows = re.findall(r"^\| (`.*) \|$", text, re.MULTILINE)
    return [_case([cell.strip() for cell in row.split("|")]) for row in rows]


def _case(cells: list[str]) -> Case:
    limits, requests, limit_range, afterwards = (_value(cell) for cell in cells[:4])
    return Case(_texts(limits), _texts(requests), limit_range, _texts(afterwards), cells[4])


def _value(cell: str) -> Any:
    return yaml.safe_load(cell.strip("`")) if cell else None


def _texts(listed: dict[str, Any]) -> dict[str, str]:
    return {name: str(quantity) for name, quantity in listed.items()}
