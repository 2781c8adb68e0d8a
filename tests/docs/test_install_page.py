from collections.abc import Iterator

import yaml

from overbook.deploy.parts import PARTS
from overbook.deploy.rights import (
    AGENT_RIGHTS,
    CERTIFICATES_RIGHTS,
    CONTROLLER_RIGHTS,
    DELETE_RIGHTS,
    OVERRIDE_EDIT_RIGHTS,
    OVERRIDE_VIEW_RIGHTS,
    STATUS_RIGHTS,
    WEBHOOK_RIGHTS,
    Right,
)
from tests.docs.reading import ROOT

PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
WHO = {
    "agent": AGENT_RIGHTS,
    "controller": CONTROLLER_RIGHTS,
    "controller, with `last-resort`": DELETE_RIGHTS,
    "webhook": WEBHOOK_RIGHTS,
    "certificates": CERTIFICATES_RIGHTS,
    "people with `overbook-status`": STATUS_RIGHTS,
    "people with `admin` or `edit`": OVERRIDE_EDIT_RIGHTS,
    "people with `view`": OVERRIDE_VIEW_RIGHTS,
}


def rows() -> Iterator[str]:
    """Return the table as the code has it."""
    for who, rights in WHO.items():
        for right in rights:
            yield f"| {who} | {', '.join(right.verbs)} | {of(right)} | {right.why} |"


def of(right: Right) -> str:
    group = f".{right.group}" if right.group else ""
    found = ", ".join(f"`{resource}{group}`" for resource in right.resources)
    if right.names:
        found += f" named {', '.join(right.names)}"
    places = {"Cluster": "", "Installation": ", in its namespace", "Agents": ", in the agents' namespace"}
    return found + places[right.where]


def test_every_right_is_in_the_table_and_no_other() -> None:
    begin = PAGE.index("| who | may | on | to |")
    table = PAGE[begin:].partition("\n\n")[0].splitlines()[2:]
    assert table == list(rows())


def test_every_component_is_in_the_table() -> None:
    for part in PARTS:
        if part.group not in {"crds", "base"}:
            assert f"| `{part.group}` |" in PAGE


def test_the_overlay_shown_is_valid() -> None:
    shown = yaml.safe_load(PAGE.partition("```yaml\n")[2].partition("```")[0])
    assert shown["kind"] == "Kustomization"
    assert shown["resources"] == ["../deploy/base", "overcommit.yaml"]
    own = yaml.safe_load(PAGE.split("```yaml\n")[2].partition("```")[0])
    assert (own["kind"], own["spec"]) == ("Overcommit", {"percentage": 150, "mode": "Enforce"})
