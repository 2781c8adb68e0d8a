import time
from itertools import pairwise

import pytest

from overbook.certificates.make_certificate import Certificate
from overbook.certificates.rotation import Held, Waits, next_step, split, validity, wanted_bundle
from tests.certificates.made import made_at

LIFE = 90 * 86_400.0
WAITS = Waits(renewal=600.0, loss=30.0)


@pytest.fixture(scope="module")
def pair() -> tuple[Certificate, Certificate]:
    now = time.time()
    return made_at(now, LIFE), made_at(now, LIFE)


def test_a_certificate_is_used_once_known_and_renewed_in_time(
    pair: tuple[Certificate, Certificate],
) -> None:
    first, second = pair
    now = time.time()
    alone = Held(first)
    assert next_step(alone, first.authority, now, 0, WAITS) == "Nothing"
    assert next_step(alone, first.authority, now + 0.7 * LIFE, 0, WAITS) == "Stage"
    assert next_step(alone, first.authority, now + 1.1 * LIFE, 0, WAITS) == "Stage"
    both = Held(first, second)
    bundle = wanted_bundle(both, first.authority, now)
    assert next_step(both, first.authority, now, 1e6, WAITS) == "Nothing"  # clients do not know it yet
    assert next_step(both, bundle, now, 599, WAITS) == "Nothing"  # not for long enough
    assert next_step(both, bundle, now, 600, WAITS) == "Promote"


def test_the_first_certificate_is_published_and_used_at_once(
    pair: tuple[Certificate, Certificate],
) -> None:
    first, second = pair
    now = time.time()
    assert next_step(Held(), "", now, 0, WAITS) == "Stage"
    staged = Held(None, first)
    assert next_step(staged, "", now, 0, WAITS) == "Nothing"
    assert next_step(staged, first.authority, now, 0, WAITS) == "Promote"
    # Everything that clients know has expired: nobody is trusted, and nobody is locked out.
    later = made_at(now + 2 * LIFE, LIFE)
    bundle = wanted_bundle(Held(second, later), second.authority, now)
    assert next_step(Held(second, later), bundle, now + 2 * LIFE, 0, WAITS) == "Promote"


def test_a_lost_certificate_waits_until_the_next_is_known(
    pair: tuple[Certificate, Certificate],
) -> None:
    """Servers still have the pair that was in the Secret, and clients trust it."""
    first, second = pair
    now = time.time()
    assert next_step(Held(), first.authority, now, 0, WAITS) == "Stage"
    staged = Held(None, second)
    bundle = wanted_bundle(staged, first.authority, now)
    assert split(bundle) == sorted([first.authority, second.authority])
    assert next_step(staged, bundle, now, 29, WAITS) == "Nothing"
    assert next_step(staged, bundle, now, 30, WAITS) == "Promote"


def test_without_a_client_only_the_first_certificate_is_used(pair: tuple[Certificate, Certificate]) -> None:
    first, second = pair
    now = time.time()
    assert next_step(Held(None, first), None, now, 0, WAITS) == "Promote"
    assert next_step(Held(first, second), None, now, 1e6, WAITS) == "Nothing"


def test_clients_trust_whatever_a_server_may_show_at_every_step(
    pair: tuple[Certificate, Certificate],
) -> None:
    """Servers may be one step behind; no server's CA is missing, whichever of them publishes last."""
    first, second = pair
    now = time.time()
    course = [Held(first), Held(first, second), Held(second)]
    bundle = ""
    for before, after in pairwise(course):
        for publisher in (before, after, before):  # one that read the Secret earlier publishes last
            bundle = wanted_bundle(publisher, bundle, now)
        shown = [one.serving.authority for one in (before, after) if one.serving]
        assert set(shown) <= set(split(bundle))


def test_expired_and_foreign_authorities_leave_the_bundle(pair: tuple[Certificate, Certificate]) -> None:
    first, second = pair
    foreign = second.certificate  # not a CA of Overbook
    bundle = wanted_bundle(Held(second), first.authority + foreign + "junk", time.time())
    assert split(bundle) == sorted([first.authority, second.authority])
    assert split(wanted_bundle(Held(second), bundle, time.time() + 2 * LIFE)) == [second.authority]
    assert validity("junk") is None
