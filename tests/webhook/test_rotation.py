import asyncio
import time
from itertools import pairwise

import pytest

from overbook.webhook import make_certificate
from overbook.webhook.make_certificate import Certificate, Wanted
from overbook.webhook.rotation import Held, next_step, split, validity, wanted_bundle

LIFE = 90 * 86_400.0
SETTLE = 900.0


@pytest.fixture(scope="module")
def pair() -> tuple[Certificate, Certificate]:
    wanted = Wanted(("localhost",), (), LIFE)
    first, second = (asyncio.run(make_certificate.make(wanted)) for _ in range(2))
    return first, second


def test_a_certificate_is_shown_once_known_and_renewed_in_time(
    pair: tuple[Certificate, Certificate],
) -> None:
    first, second = pair
    now = time.time()
    assert next_step(Held(), "", now, SETTLE) == "Make"
    alone = Held(first)
    assert next_step(alone, "", now, SETTLE) == "Nothing"
    assert next_step(alone, "", now + 0.7 * LIFE, SETTLE) == "Stage"
    assert next_step(alone, "", now + 1.1 * LIFE, SETTLE) == "Make"
    both = Held(first, second)
    bundle = wanted_bundle(both, first.authority, now)
    assert next_step(both, first.authority, now + SETTLE, SETTLE) == "Nothing"  # clients do not know it yet
    assert next_step(both, bundle, now, SETTLE) == "Nothing"  # not for long enough
    assert next_step(both, bundle, now + SETTLE, SETTLE) == "Promote"


def test_clients_trust_whatever_a_server_may_show_at_every_step(
    pair: tuple[Certificate, Certificate],
) -> None:
    """Servers may be one step behind; no server's CA is missing, whichever of them publishes last."""
    first, second = pair
    now = time.time()
    course = [Held(first), Held(first, second), Held(second)]
    bundle = ""
    for before, after in pairwise(course):
        for publisher in (before, after, before):  # a server that is one step behind publishes last
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
