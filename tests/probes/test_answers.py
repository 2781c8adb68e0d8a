from overbook.probes.answers import Answer, KeptAnswer


def test_an_answer_is_kept_ten_times_as_long_as_it_took() -> None:
    now = 0.0
    made = 0

    def slow() -> Answer:
        nonlocal now, made
        now += 0.1
        made += 1
        return (200, "text/plain", b"%d" % made)

    kept = KeptAnswer(slow, lambda: now)
    assert kept()[2] == b"1"
    now += 0.9
    assert kept()[2] == b"1"
    now += 0.2
    assert kept()[2] == b"2"


def test_requests_cost_a_tenth_of_the_time_at_most() -> None:
    now = spent = 0.0

    def slow() -> Answer:
        nonlocal now, spent
        now += 0.05
        spent += 0.05
        return (200, "text/plain", b"")

    kept = KeptAnswer(slow, lambda: now)
    while now < 60.0:
        kept()
        now += 0.001
    assert spent < 6.1
