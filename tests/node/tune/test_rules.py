import msgspec
import pytest

from overbook.node.tune.rules import (
    OVERCOMMIT_MEMORY,
    PANIC_ON_OOM,
    SWAPPINESS,
    SYSTEM_SWAP_MAX,
    WATERMARK_SCALE_FACTOR,
    Overcommit,
    Remembered,
    TuningFacts,
    overcommit_refusal,
    put_back,
    shortcomings,
    wishes,
)
from overbook.node.tune.watermark import Watermarks

MIB = 1 << 20
GIB = 1 << 30
FRESH = TuningFacts(
    values={
        OVERCOMMIT_MEMORY: "0",
        PANIC_ON_OOM: "0",
        SWAPPINESS: "60",
        WATERMARK_SCALE_FACTOR: "10",
        SYSTEM_SWAP_MAX: "max",
    },
    watermarks=Watermarks(min_bytes=64 * MIB, low_bytes=80 * MIB, managed_bytes=16 * GIB),
    eviction_bytes=100 * MIB,
)


def wanted(
    facts: TuningFacts, overcommit: Overcommit = "on", remembered: dict[str, Remembered] | None = None
) -> dict[str, str]:
    return {wish.name: wish.wanted for wish in wishes(facts, overcommit, remembered or {})}


def with_values(facts: TuningFacts, **values: str) -> TuningFacts:
    changed = {name.replace("__", "/").replace("vm_", "vm.", 1): value for name, value in values.items()}
    return msgspec.structs.replace(facts, values={**facts.values, **changed})


def test_a_fresh_node_overcommits_and_keeps_the_system_in_ram() -> None:
    assert wanted(FRESH) == {
        OVERCOMMIT_MEMORY: "1",
        PANIC_ON_OOM: "0",
        WATERMARK_SCALE_FACTOR: "180",
        SYSTEM_SWAP_MAX: "0",
    }
    assert all(wish.sentence for wish in wishes(FRESH, "on", {}))


def test_overcommit_off_changes_that_setting_only() -> None:
    assert wanted(FRESH, "off") == {**wanted(FRESH), OVERCOMMIT_MEMORY: "0"}


@pytest.mark.parametrize(("swappiness", "becomes"), [("0", "60"), ("1", None), ("100", None), ("180", "60")])
def test_swappiness_is_left_alone_where_it_weighs(swappiness: str, becomes: str | None) -> None:
    assert wanted(with_values(FRESH, vm_swappiness=swappiness)).get(SWAPPINESS) == becomes


def test_a_setting_of_ours_that_is_right_stays_in_the_files() -> None:
    raised = msgspec.structs.replace(
        with_values(FRESH, vm_swappiness="60", vm_watermark_scale_factor="180"),
        watermarks=Watermarks(64 * MIB, 400 * MIB, 16 * GIB),
    )
    ours = {
        SWAPPINESS: Remembered("0", ("60",)),
        WATERMARK_SCALE_FACTOR: Remembered("10", ("180",)),
    }

    assert wanted(raised, remembered=ours)[SWAPPINESS] == "60"
    assert wanted(raised, remembered=ours)[WATERMARK_SCALE_FACTOR] == "180"
    assert SWAPPINESS not in wanted(raised)


def test_a_factor_is_never_lowered() -> None:
    assert wanted(with_values(FRESH, vm_watermark_scale_factor="900"))[WATERMARK_SCALE_FACTOR] == "900"


def test_an_unreachable_threshold_is_reported() -> None:
    far = msgspec.structs.replace(FRESH, eviction_bytes=2 * GIB)

    assert wanted(far)[WATERMARK_SCALE_FACTOR] == "1000"
    (sentence,) = shortcomings(far)
    assert "evictionHard" in sentence


def test_a_kubelet_without_a_threshold_leaves_the_watermarks() -> None:
    assert WATERMARK_SCALE_FACTOR not in wanted(msgspec.structs.replace(FRESH, eviction_bytes=0))


def test_disks_get_a_target_only_where_the_kernel_has_io_latency() -> None:
    disks = msgspec.structs.replace(FRESH, io_latency_disks=("259:0",))

    assert wanted(disks)["system.slice/io.latency/259:0"] == "50000"


def test_overcommit_stays_on_where_it_would_stop_the_kubelet() -> None:
    assert "protectKernelDefaults: true" in (overcommit_refusal("Strict") or "")
    assert "start it first" in (overcommit_refusal("Stopped") or "")
    assert overcommit_refusal("Lenient") is None
    assert overcommit_refusal("Absent") is None


@pytest.mark.parametrize(
    ("present", "value", "words"),
    [
        ("60", "0", "is restored from 60 to 0"),
        ("1", "0", "is restored from 1 to 0"),  # of an earlier run
        ("0", None, "as before"),
        ("30", None, "it was changed since by another program or person"),
        (None, None, "no longer exists"),
    ],
)
def test_a_setting_is_restored_only_where_it_is_still_ours(
    present: str | None, value: str | None, words: str
) -> None:
    returned = put_back(SWAPPINESS, Remembered("0", ("1", "60")), present, strict_kubelet=False)

    assert returned.value == value
    assert words in returned.sentence


def test_a_strict_kubelet_finds_what_it_requires() -> None:
    entry = Remembered(before="2", ours=("0",))

    assert put_back(OVERCOMMIT_MEMORY, entry, "0", strict_kubelet=False).value == "2"
    returned = put_back(OVERCOMMIT_MEMORY, entry, "0", strict_kubelet=True)
    assert returned.value == "1"
    assert "would fail to start" in returned.sentence
