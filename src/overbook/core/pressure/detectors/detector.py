"""The interface of a detector: one condition, its reading, and the texts and figures about it."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

import msgspec

from overbook.core.pressure.model import NodeModel
from overbook.core.pressure.situation import Situation


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What a detector measured.

    Attributes:
        holds: whether the detector's condition holds; ``False`` if the numbers are not known.
        sentence: the numbers, for people.
        numbers: the same numbers, for programs; empty if they are not known.
    """

    holds: bool
    sentence: str
    numbers: dict[str, float]


class Figure(NamedTuple):
    """One number of a reading beside its threshold, in the unit in which the threshold is set.

    Attributes:
        name: the setting's name in a configuration file.
        value: the number that was read.
        threshold: the value at which the condition holds.
        below: whether the condition is about values below the threshold.
    """

    name: str
    value: float
    threshold: float
    below: bool = False


class DetectorOption(NamedTuple):
    """A setting of a detector that an option and an environment variable can change.

    Attributes:
        name: the variable in lower case; the option is ``--`` and this with hyphens.
        field: the detector's field that they set.
        metavar: the placeholder of the value in the option's help.
        instead_of: another field that says the same and is dropped when this one is set; empty: none.
    """

    name: str
    field: str
    metavar: str
    instead_of: str = ""


class Detector(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    tag_field="detector",
    forbid_unknown_fields=True,
):
    """One condition of a rule. Its fields are its settings; each has a default.

    Attributes:
        reclaim_may_help: whether swapping out cold memory may help while the condition holds. If it is false
            for all detectors of a rule, the rule is about stalls.
        options: the settings that options and environment variables can change.
    """

    reclaim_may_help: ClassVar[bool]
    options: ClassVar[tuple[DetectorOption, ...]] = ()

    @property
    def window_seconds_needed(self) -> float:
        """The length of the history that the detector needs."""
        return 0.0

    @property
    def urgent_seconds(self) -> float:
        """The time that an eviction takes, if the condition is that memory runs out before; else 0.

        Such a detector's numbers have ``secondsLeft``.
        """
        return 0.0

    @property
    @abstractmethod
    def condition(self) -> str:
        """The condition in words, as a part of a rule's name."""

    @abstractmethod
    def read(self, seen: Situation) -> Reading:
        """Read whether the condition holds now, and the numbers."""

    @abstractmethod
    def figures(self, numbers: Mapping[str, float], node: NodeModel) -> Iterator[Figure]:
        """Yield the numbers of a reading beside their thresholds, for ``replay``.

        Args:
            numbers: the numbers of a reading; never empty.
            node: the node's sizes at the reading.
        """

    @abstractmethod
    def check(self) -> None:
        """Refuse settings out of range.

        Raises:
            InvalidInput: a setting is out of range. The error names the field as a file does.
        """
