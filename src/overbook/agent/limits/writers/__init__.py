"""The writers of swap limits: each is a module here and a line in the list below, by its name.

``core/overcommit/writer.py`` chooses the one that writes on a node.
"""

from collections.abc import Callable, Mapping
from typing import Final

from overbook.agent.limits.writers import hook, kubelet, nri, reconcile
from overbook.agent.limits.writers.writer import SwapWriter, WriterMeans
from overbook.core.overcommit.writer import Writer

MAKERS: Final[Mapping[Writer, Callable[[WriterMeans], SwapWriter]]] = {
    "reconcile": reconcile.make,
    "nri": nri.make,
    "hook": hook.make,
    "kubelet": kubelet.make,
}
