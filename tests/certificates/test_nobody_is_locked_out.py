"""In every course of events the API server trusts what each webhook server shows."""

import asyncio
import contextlib
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from overbook.certificates.make_certificate import Certificate
from overbook.certificates.objects import pair_of
from overbook.certificates.rotation import validity
from overbook.kube.api.errors import KubeError
from tests.certificates.made import SERVER
from tests.certificates.test_renewer import BAD, Renewal

SERVERS: Final = 3
LAG_SECONDS: Final = 20.0
"""An API server may see a change of the bundle so much later."""

PAUSES: Final = [1.0, 11.0, 25.0, 40.0, 700.0, 5 * 86_400.0, 61 * 86_400.0, 95 * 86_400.0]


class Rotation(RuleBasedStateMachine):
    """Servers read the mounted Secret late, the renewer is restarted and fails, people spoil the Secret."""

    def __init__(self) -> None:
        super().__init__()
        self.renewal = Renewal()
        self.shown: list[Certificate | None] = [None] * SERVERS
        self.known_since: dict[str, float] = {}
        self.alone: set[str] = set()
        """The CAs that were published while no other was valid: at a first start."""

    @initialize()
    def begin(self) -> None:
        self.renew([])

    @rule(failures=st.lists(st.sampled_from(["before", "after"]), max_size=2))
    def renew(self, failures: list[str]) -> None:
        self.renewal.api.failures = failures
        for _ in range(3):
            valid = [one for one in self.renewal.trusted() if self.valid(one)]
            with contextlib.suppress(KubeError):
                asyncio.run(self.renewal.renewer.take_step())
            now = dict.fromkeys(self.renewal.trusted(), self.renewal.now)
            if not valid:
                self.alone |= now.keys()
            self.known_since = {one: self.known_since.get(one, when) for one, when in now.items()}

    @rule()
    def restart_renewer(self) -> None:
        self.renewal.renewer = self.renewal.start()

    @rule(seconds=st.sampled_from(PAUSES))
    def wait(self, seconds: float) -> None:
        self.renewal.now += seconds

    @rule(number=st.integers(0, SERVERS - 1))
    def server_reads_its_mount(self, number: int) -> None:
        """A server keeps what it has if the mounted pair is missing or unusable."""
        self.shown[number] = self.renewal.used() or self.shown[number]

    @rule(number=st.integers(0, SERVERS - 1))
    def server_restarts(self, number: int) -> None:
        self.shown[number] = self.renewal.used()

    @rule()
    def secret_is_deleted(self) -> None:
        self.renewal.api.data = None

    @rule(change=st.sampled_from(list(BAD.values())), staged=st.booleans())
    def secret_is_spoilt(self, change: dict[str, Any], staged: bool) -> None:
        if self.renewal.api.data:
            prefix = "staged-" if staged else ""
            self.renewal.api.change(**{prefix + name: text for name, text in change.items()})

    def valid(self, authority: str) -> bool:
        found = validity(authority)
        return found is not None and found.not_before <= self.renewal.now < found.not_after

    @invariant()
    def what_is_shown_is_trusted(self) -> None:
        for pair in self.shown:
            if pair is not None and self.valid(pair.authority):
                assert pair.authority in self.renewal.trusted()
                since = self.known_since[pair.authority]
                late = self.renewal.now - since < LAG_SECONDS
                assert not late or pair.authority in self.alone, "a slow API server does not know it"

    def teardown(self) -> None:
        """A while later everything works again."""
        self.renewal.api.failures = []
        for seconds in (0, 601, 601):
            self.renewal.now += seconds
            self.renewal.work()
        pair = pair_of(self.renewal.api.data or {}, "", SERVER)[0]
        assert pair is not None
        assert self.valid(pair.authority)
        assert pair.authority in self.renewal.trusted()


TestRotation = Rotation.TestCase
TestRotation.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
