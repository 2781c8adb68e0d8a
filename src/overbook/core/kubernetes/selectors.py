"""Label selectors, matched as the API server does. Source: apimachinery ``meta/v1`` and ``labels``."""

from collections.abc import Mapping
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import KubeStruct

_WITH_VALUES: Final = ("In", "NotIn")
_WITHOUT_VALUES: Final = ("Exists", "DoesNotExist")
NO_LABELS: Final[Mapping[str, str]] = {}


class LabelRequirement(KubeStruct, frozen=True):
    """One condition on one label."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet it; a label that is not there is not in any set."""
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
    """All of its conditions have to be met; without any it matches everything."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[LabelRequirement, ...] | None = None

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Whether an object with these labels is selected."""
        labels = labels or NO_LABELS
        return all(labels.get(key) == value for key, value in (self.match_labels or {}).items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions or ()
        )

    def check(self) -> None:
        """Refuse what the API server would refuse.

        Raises:
            InvalidInput: an operator that is none, or one with values too many or missing.
        """
        for number, requirement in enumerate(self.match_expressions or ()):
            where = f"matchExpressions[{number}]"
            if requirement.operator not in _WITH_VALUES + _WITHOUT_VALUES:
                right = ", ".join(_WITH_VALUES + _WITHOUT_VALUES)
                raise InvalidInput(f"{where}.operator", requirement.operator, f"one of {right}")
            if bool(requirement.values) != (requirement.operator in _WITH_VALUES):
                right = "values" if requirement.operator in _WITH_VALUES else "no values"
                raise InvalidInput(
                    f"{where}.values", requirement.values, f"{right} with the operator {requirement.operator}"
                )
