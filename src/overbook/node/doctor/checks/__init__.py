"""The doctor's checks. Each has a module, named like its subject, and a line in the list below."""

from typing import Final

from overbook.node.doctor.check import Check
from overbook.node.doctor.checks import (
    cgroup,
    hook,
    kernel,
    killers,
    kubelet,
    original,
    owners,
    places,
    pressure,
    promises,
    provisioning,
    rooms,
    swap,
    swappiness,
    system,
    watermarks,
    writer,
    zswap,
)

CHECKS: Final[tuple[Check, ...]] = (
    cgroup.CHECK,
    kernel.CHECK,
    pressure.CHECK,
    kubelet.CHECK,
    provisioning.CHECK,
    swap.CHECK,
    zswap.CHECK,
    rooms.CHECK,
    writer.CHECK,
    hook.CHECK,
    original.CHECK,
    owners.CHECK,
    killers.CHECK,
    places.CHECK,
    system.CHECK,
    swappiness.CHECK,
    watermarks.CHECK,
    promises.CHECK,
)
"""In the order in which the report shows them."""
