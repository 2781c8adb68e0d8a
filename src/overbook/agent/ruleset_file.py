"""A ruleset from where a user keeps it: a file of its own, the agent's settings, or flags."""

from collections.abc import Mapping
from typing import Any, Final

from overbook.agent.configuration_file import read_configuration
from overbook.agent.settings import RULE_FIELDS, Settings, from_fields, with_setting
from overbook.core.engine import ReclaimPolicy
from overbook.core.ruleset import Ruleset

DEFAULT: Final = "default"


def load_ruleset(path: str | None, flags: Mapping[str, Any]) -> tuple[Ruleset, ReclaimPolicy]:
    """A ruleset, and what is tried before a guest goes.

    Args:
        path: a file of kind ``Ruleset`` or ``AgentConfiguration``; ``default`` or ``None``: the shipped one.
        flags: single thresholds that win over it, by field name.

    Raises:
        InvalidInput: the file or a value makes no sense.
        OSError: the file cannot be read.
    """
    settings = Settings()
    if path is not None and path != DEFAULT:
        kind, fields = read_configuration(path, ("Ruleset", "AgentConfiguration"))
        if kind == "Ruleset" or (kind is None and fields.keys() <= RULE_FIELDS):
            fields = {"ruleset": fields}
        settings = from_fields(fields, path)
    for field, value in flags.items():
        settings = with_setting(settings, field, value)
    settings.check()
    return settings.ruleset, settings.reclaim
