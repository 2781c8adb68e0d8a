"""The conditions of an override are written only when they say something else than before."""

from msgspec import structs

from overbook.core.api.override import ResourceOverride
from overbook.core.kubernetes.pod import ObjectMeta
from overbook.core.override.conditions import changed_conditions, wanted_conditions
from overbook.core.override.switches import NOT_OPTED_IN, OptedIn
from tests.core.override.test_admission import override_named

OPTED_IN = OptedIn(enabled="true")


def in_shop(percent: int = 50, namespace: str = "shop") -> ResourceOverride:
    one = override_named("all", percent)
    return structs.replace(one, metadata=ObjectMeta(name="all", namespace=namespace))


def reasons(one: ResourceOverride, namespace: OptedIn, *, openshift: bool = False) -> list[tuple[str, str]]:
    return [(each.status, each.reason) for each in wanted_conditions(one, namespace, openshift=openshift)]


def test_conditions_name_what_keeps_an_override_from_its_effect() -> None:
    valid = ("False", "Valid")
    assert reasons(in_shop(), OPTED_IN) == [valid, ("False", "NamespaceOptedIn")]
    assert reasons(in_shop(150), OPTED_IN)[0] == ("True", "InvalidParameters")
    assert reasons(in_shop(), NOT_OPTED_IN) == [valid, ("True", "NamespaceNotOptedIn")]
    assert reasons(in_shop(), OptedIn("true", "no")) == [valid, ("True", "NamespaceSwitchedOff")]
    assert reasons(in_shop(), OptedIn("true", None, "0")) == [valid, ("True", "SystemNamespace")]
    assert reasons(in_shop(namespace="kube-system"), OPTED_IN) == [valid, ("True", "SystemNamespace")]
    assert reasons(in_shop(), OPTED_IN, openshift=True) == [valid, ("True", "OtherKindInUse")]


def test_the_time_of_a_condition_is_that_of_its_last_change() -> None:
    first = changed_conditions((), wanted_conditions(in_shop(), NOT_OPTED_IN, openshift=False), 1000.0)
    assert first is not None
    assert [one.last_transition_time for one in first] == ["1970-01-01T00:16:40Z"] * 2
    assert (
        changed_conditions(first, wanted_conditions(in_shop(), NOT_OPTED_IN, openshift=False), 2000.0) is None
    )
    second = changed_conditions(first, wanted_conditions(in_shop(), OPTED_IN, openshift=False), 3000.0)
    assert second is not None
    assert [one.last_transition_time[-4:] for one in second] == [":40Z", ":00Z"]
    assert second[0] == first[0]
