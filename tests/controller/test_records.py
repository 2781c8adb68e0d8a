"""A relief's record, as a leader knows it: lost ones, and those of a leader with another clock."""

from overbook.controller.kinds import AskingNode
from overbook.controller.records import Records
from overbook.core.api.overcommit_node import ReliefRecord
from overbook.core.relief.case import Evict, Look, Rest, Write
from overbook.core.relief.migrating import BEFORE_SIGHT_SECONDS
from overbook.core.relief.node import NodeMeta
from overbook.core.relief.record import idle
from overbook.core.timestamp import from_timestamp, to_timestamp

NOW = 1_800_000_000.0
MINUTES_AGO = NOW - 900
UNDER_WAY = ReliefRecord(
    request_id="r1",
    stage="Asking",
    victim_uid="uid-a",
    victim="shop/a",
    how="Evicted",
    started_at=to_timestamp(MINUTES_AGO),
    stage_since=to_timestamp(MINUTES_AGO),
    until=to_timestamp(MINUTES_AGO + 600),
)


def obj(version: str, record: ReliefRecord | None) -> AskingNode:
    status = type(AskingNode().status)(relief=record)
    return AskingNode(
        metadata=NodeMeta(name="n", uid=f"uid-{version}", resource_version=version), status=status
    )


def known(record: ReliefRecord = UNDER_WAY) -> Records:
    records = Records(lambda: NOW)
    records.seen(obj("1", record))
    return records


def test_a_lost_record_is_written_before_any_other_step() -> None:
    records = known()
    evict, look, rest = Evict("uid-a", "shop/a"), Look("uid-a", "shop/a"), Rest()
    assert records.first("n", evict) == evict
    records.seen(obj("2", None))
    for step in (evict, look, rest):
        first = records.first("n", step)
        assert isinstance(first, Write)
        assert (first.record.victim_uid, first.record.stage) == ("uid-a", "Asking")
    write = Write(idle(UNDER_WAY))
    assert records.first("n", write) == write


def test_a_record_without_an_object_is_not_written_again() -> None:
    records = known()
    records.seen(obj("2", None))
    records.gone("n")
    assert records.first("n", Rest()) == Rest()
    records.seen(obj("3", None))
    assert isinstance(records.first("n", Rest()), Write)


def test_another_leaders_record_counts_from_its_first_sight() -> None:
    records = known()
    dated = records.dated("n")
    since, until = from_timestamp(dated.stage_since), from_timestamp(dated.until)
    assert (since, until) == (NOW - BEFORE_SIGHT_SECONDS, NOW - BEFORE_SIGHT_SECONDS + 600)
    assert dated.started_at == UNDER_WAY.started_at
    assert records.of("n") == UNDER_WAY, "the record at the API server is compared as it is"


def test_the_first_sight_stays_the_first_one() -> None:
    moments = iter([NOW, NOW + 500, NOW + 900])
    records = Records(lambda: next(moments))
    records.seen(obj("1", UNDER_WAY))
    records.seen(obj("2", UNDER_WAY))
    assert from_timestamp(records.dated("n").stage_since) == NOW - BEFORE_SIGHT_SECONDS


def test_a_fresh_record_and_a_waiting_one_keep_their_dates() -> None:
    fresh = ReliefRecord(stage="Ending", stage_since=to_timestamp(NOW - 5), until=to_timestamp(NOW + 600))
    waiting = ReliefRecord(stage="Waiting", stage_since=to_timestamp(MINUTES_AGO))
    for record in (fresh, waiting, ReliefRecord()):
        assert known(record).dated("n") == record
