"""The doctor's checks. Each has a module, named like its subject, and a line in the list below."""

from typing import Final

from overbook.node.doctor.check import Check
from overbook.node.doctor.checks import (
    cgroup,
    hook,
    kubelet,
    original,
    owners,
    pressure,
    promises,
    provisioning,
    swap,
    swappiness,
    system,
    watermarks,
    writer,
)

CHECKS: Final[tuple[Check, ...]] = (
    cgroup.CHECK,
    pressure.CHECK,
    kubelet.CHECK,
    provisioning.CHECK,
    swap.CHECK,
    writer.CHECK,
    hook.CHECK,
    original.CHECK,
    owners.CHECK,
    system.CHECK,
    swappiness.CHECK,
    watermarks.CHECK,
    promises.CHECK,
)
"""In the order in which the report shows them."""
