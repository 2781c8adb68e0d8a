"""Label selectors, matched as by the API server. Source: apimachinery ``meta/v1`` and ``labels``."""

from collections.abc import Mapping
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct

_WITH_VALUES: Final = ("In", "NotIn")
_WITHOUT_VALUES: Final = ("Exists", "DoesNotExist")
OPERATORS: Final = _WITH_VALUES + _WITHOUT_VALUES
NO_LABELS: Final[Mapping[str, str]] = {}


class LabelRequirement(KubeStruct, frozen=True):
    """A condition on one label.

    Attributes:
        key: the label's key.
        operator: ``In``, ``NotIn``, ``Exists`` or ``DoesNotExist``.
        values: the values for ``In`` and ``NotIn``; empty with the other operators.
    """

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet the condition; a label that is absent meets ``NotIn``."""
        match self.operator:
            case "In":
                return labels.get(self.key) in (self.values or ())
            case "NotIn":
                return labels.get(self.key) not in (self.values or ())
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


class LabelSelector(KubeStruct, frozen=True):
    """A label selector: all of its conditions have to be met; without conditions it selects everything.

    Attributes:
        match_labels: labels that have to be there with these values.
        match_expressions: further conditions on labels.
    """

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[LabelRequirement, ...] | None = None

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Whether an object with these labels is selected."""
        labels = labels or NO_LABELS
        return all(labels.get(key) == value for key, value in (self.match_labels or {}).items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions or ()
        )

    def check(self) -> None:
        """Refuse a selector that the API server would refuse.

        Raises:
            InvalidInput: an operator does not exist, or has values that it must not have, or lacks them.
        """
        for number, requirement in enumerate(self.match_expressions or ()):
            where = f"matchExpressions[{number}]"
            if requirement.operator not in OPERATORS:
                right = ", ".join(OPERATORS)
                raise InvalidInput(f"{where}.operator", requirement.operator, f"one of {right}")
            if bool(requirement.values) != (requirement.operator in _WITH_VALUES):
                right = "values" if requirement.operator in _WITH_VALUES else "no values"
                raise InvalidInput(
                    f"{where}.values", requirement.values, f"{right} with the operator {requirement.operator}"
                )
