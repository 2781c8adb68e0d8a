"""What a detector is: one condition, what it sees, and what it says of itself to everybody who asks."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

import msgspec

from overbook.core.pressure.history import History
from overbook.core.pressure.model import NodeModel


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What a detector saw.

    Attributes:
        holds: whether its condition holds; not known counts as no.
        sentence: the numbers, for people.
        numbers: the same, for programs; empty where they are not known.
    """

    holds: bool
    sentence: str
    numbers: dict[str, float]


class Figure(NamedTuple):
    """One number of a reading beside its threshold, in the unit in which the threshold is set.

    Attributes:
        name: the setting's name in a file.
        value: what was read.
        threshold: what the detector asks for.
        below: whether it asks for less than the threshold.
    """

    name: str
    value: float
    threshold: float
    below: bool = False


class DetectorOption(NamedTuple):
    """A setting of a detector that an option of the command line and a variable set, too.

    Attributes:
        name: the option is ``--`` and this with hyphens, the variable this in capitals.
        field: the detector's field.
        metavar: what stands for the value in the option's help.
    """

    name: str
    field: str
    metavar: str


class Detector(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    tag_field="detector",
    forbid_unknown_fields=True,
):
    """One condition. Its fields are its settings, and each has a default.

    Attributes:
        is_about_stalls: whether it is about stalls, so that pushing out cold memory may help. Where a rule
            has a detector that is not, a pod has to leave at once.
        options: its settings that the command line and variables set, too.
    """

    is_about_stalls: ClassVar[bool]
    options: ClassVar[tuple[DetectorOption, ...]] = ()

    @property
    def window_seconds_needed(self) -> float:
        """How much history it looks back on."""
        return 0.0

    @property
    @abstractmethod
    def condition(self) -> str:
        """What it asks, as a part of a rule's name."""

    @abstractmethod
    def read(self, node: NodeModel, history: History) -> Reading:
        """Whether the condition holds now, and the numbers."""

    @abstractmethod
    def figures(self, numbers: Mapping[str, float], node: NodeModel) -> Iterator[Figure]:
        """The numbers of a reading beside their thresholds, for ``replay``.

        Args:
            numbers: of a reading; never empty.
            node: as it was for the reading.
        """

    @abstractmethod
    def check(self) -> None:
        """Refuse settings out of range.

        Raises:
            InvalidInput: it names the field as a file does.
        """
