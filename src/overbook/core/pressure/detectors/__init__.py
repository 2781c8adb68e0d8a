"""The detectors. Each is a module here and a line in the list below; everything else follows from the list.

What follows: the values of ``detector`` in configuration files, the agent's options and variables, the
figures of ``replay``, and whether a rule is about stalls.
"""

from typing import Final, Union, get_args

from overbook.core.pressure.detectors.covered_stall import CoveredStall
from overbook.core.pressure.detectors.detector import Detector, DetectorOption
from overbook.core.pressure.detectors.low_memory import LowMemory
from overbook.core.pressure.detectors.memory_pressure import MemoryPressure
from overbook.core.pressure.detectors.running_out import RunningOut
from overbook.core.pressure.detectors.swap_occupancy import SwapOccupancy
from overbook.core.pressure.detectors.swap_traffic import SwapTraffic

AnyDetector = Union[  # noqa: UP007 - a line for each detector; joined by bars they would be one
    SwapTraffic,
    SwapOccupancy,
    MemoryPressure,
    LowMemory,
    CoveredStall,
    RunningOut,
]

DETECTORS: Final[tuple[type[Detector], ...]] = get_args(AnyDetector)
OPTIONS: Final[tuple[tuple[type[Detector], DetectorOption], ...]] = tuple(
    (kind, option) for kind in DETECTORS for option in kind.options
)
"""The detectors' settings that an option or a variable changes in every rule."""
