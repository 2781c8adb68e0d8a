"""The guards. A new one is a subclass of ``guard.Guard``, and a line here."""

from typing import Final

from overbook.core.errors import InvalidInput
from overbook_sandbox.density.guards.agent import Original, Overbook
from overbook_sandbox.density.guards.debian import Earlyoom, Nohang
from overbook_sandbox.density.guards.guard import Guard
from overbook_sandbox.density.guards.plain import Alone, Limited, NoSwap
from overbook_sandbox.density.guards.systemd_oomd import SystemdOomd

BASELINE: Final[type[Guard]] = Alone
GUARDS: Final[tuple[type[Guard], ...]] = (NoSwap, Limited, Earlyoom, Nohang, SystemdOomd, Original, Overbook)
"""All guards that are compared, in the order of tables."""


def find(name: str) -> type[Guard]:
    """The guard with this name, or the baseline.

    Raises:
        InvalidInput: there is none.
    """
    for guard in (BASELINE, *GUARDS):
        if guard.name == name:
            return guard
    raise InvalidInput("--guard", name, f"one of {', '.join(guard.name for guard in GUARDS)}")
