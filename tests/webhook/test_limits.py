from pathlib import Path

import pytest

from overbook.webhook.http_protocol import MOST_BODY_BYTES
from overbook.webhook.limits import SHIPPED_MEMORY_BYTES, limits_for, memory_limit


def test_the_shipped_limit_gives_the_documented_numbers() -> None:
    limits = limits_for(SHIPPED_MEMORY_BYTES)
    assert (limits.connections, limits.of_a_peer, limits.held_bytes) == (256, 64, 16 << 20)


def test_the_largest_body_fits_whatever_the_limit_is() -> None:
    for mebibytes in (1, 32, 64, 1024, 1 << 20):
        limits = limits_for(mebibytes << 20)
        assert limits.held_bytes > MOST_BODY_BYTES
        assert 64 <= limits.connections <= 2048


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("268435456\n", 256 << 20),
        ("max\n", SHIPPED_MEMORY_BYTES),
        ("", SHIPPED_MEMORY_BYTES),
        ("9223372036854771712\n", SHIPPED_MEMORY_BYTES),
        ("0\n", SHIPPED_MEMORY_BYTES),
    ],
)
def test_the_limit_is_that_of_the_own_cgroup(tmp_path: Path, text: str, limit: int) -> None:
    (tmp_path / "memory.max").write_text(text, "ascii")
    assert memory_limit(str(tmp_path / "memory.max")) == limit


def test_the_shipped_limit_counts_where_the_file_is_missing(tmp_path: Path) -> None:
    assert memory_limit(str(tmp_path / "nothing")) == SHIPPED_MEMORY_BYTES
