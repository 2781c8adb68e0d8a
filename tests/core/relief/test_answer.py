import pytest

from overbook.core.relief.answer import EvictionCause, no_answer, understood

WEBHOOK = 'admission webhook "virt-launcher-eviction-interceptor.kubevirt.io" denied the request: '
BUDGET = "Cannot evict pod as it would violate the pod's disruption budget."


@pytest.mark.parametrize(
    "message",
    [
        'Eviction triggered evacuation of VMI "shop/db"',
        'Evacuation in progress: Eviction triggered evacuation of VMI "shop/db"',
        f'{WEBHOOK}Eviction triggered evacuation of VMI "shop/db"',
        f'{WEBHOOK}Evacuation in progress: Eviction triggered evacuation of VMI "shop/db"',
    ],
)
def test_an_evacuation_is_a_live_migration_under_way(message: str) -> None:
    assert understood(429, "TooManyRequests", message).meaning == "Evacuating"


@pytest.mark.parametrize("status", [200, 201, 202])
def test_2xx_is_accepted(status: int) -> None:
    assert understood(status).meaning == "Accepted"


@pytest.mark.parametrize(
    ("status", "reason", "message", "causes", "word"),
    [
        (
            429,
            "TooManyRequests",
            BUDGET,
            [EvictionCause("DisruptionBudget", "needs 2 and has 2")],
            "DisruptionBudget",
        ),
        (
            500,
            "InternalError",
            "This pod has more than one PodDisruptionBudget, which the eviction does not support.",
            [],
            "MoreThanOneDisruptionBudget",
        ),
        (429, "TooManyRequests", f"{WEBHOOK}VMI db is not live-migratable", [], "Denied"),
        (403, "Forbidden", 'admission webhook "policy.example.com" denied the request: no', [], "Denied"),
        (422, "Invalid", "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", [], "Invalid"),
        (403, "Forbidden", "pdb disruptions allowed is negative", [], "Forbidden"),
    ],
)
def test_a_refusal_has_a_word_and_the_servers_message(
    status: int, reason: str, message: str, causes: list[EvictionCause], word: str
) -> None:
    answer = understood(status, reason, message, causes)
    assert (answer.meaning, answer.reason) == ("Refused", word)
    assert answer.message.startswith(message)


def test_a_refusal_by_a_budget_names_the_budget() -> None:
    causes = [
        EvictionCause(
            "DisruptionBudget", "The disruption budget web needs 2 healthy pods and has 2 currently"
        )
    ]
    assert "budget web needs 2" in understood(429, "TooManyRequests", BUDGET, causes).message


@pytest.mark.parametrize(
    ("status", "reason", "message", "causes"),
    [
        (
            429,
            "TooManyRequests",
            BUDGET,
            [
                EvictionCause(
                    "DisruptionBudget", "The disruption budget web is still being processed by the server."
                )
            ],
        ),
        (429, "TooManyRequests", "Too many requests, please try again later.", []),
        (429, "", "", []),
        (401, "Unauthorized", "Unauthorized", []),
        (403, "Forbidden", 'User "x" cannot create resource "pods/eviction" in API group ""', []),
        (409, "Conflict", "Operation cannot be fulfilled on pods: please try again", []),
    ],
)
def test_other_answers_are_retried_when_the_server_says(
    status: int, reason: str, message: str, causes: list[EvictionCause]
) -> None:
    answer = understood(status, reason, message, causes, 10.0)
    assert (answer.meaning, answer.retry_seconds) == ("Later", 10.0)


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (404, "NotFound", 'pods "db" not found'),
        (409, "", "Precondition failed: UID in precondition: a, UID in object meta: b"),
    ],
)
def test_a_missing_or_replaced_pod_is_gone(status: int, reason: str, message: str) -> None:
    assert understood(status, reason, message).meaning == "Gone"


def test_a_proxys_404_says_nothing_about_the_pod() -> None:
    assert understood(404, "", "404 page not found").meaning == "Unknown"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_failure_leaves_the_outcome_unknown(status: int) -> None:
    assert understood(status, "InternalError", "etcdserver: request timed out").meaning == "Unknown"
    assert no_answer("connection reset").meaning == "Unknown"


def test_a_long_message_is_shortened() -> None:
    assert len(understood(422, "Invalid", "no " * 10_000).message) <= 300


@pytest.mark.parametrize(
    "why", ["dial tcp 192.0.2.1:443: connect: connection refused", "context deadline exceeded"]
)
def test_a_webhook_that_was_not_called_evicted_nothing(why: str) -> None:
    message = (
        'Internal error occurred: failed calling webhook "virt-launcher-eviction-interceptor.kubevirt.io": '
        f'failed to call webhook: Post "https://virt-api.kubevirt.svc:443/pod-eviction-validate": {why}'
    )
    answer = understood(500, "InternalError", message)
    assert (answer.meaning, answer.reason) == ("WebhookFailed", "WebhookFailed")
    assert "virt-launcher-eviction-interceptor" in answer.message
