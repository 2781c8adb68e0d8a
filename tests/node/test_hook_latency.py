from pathlib import Path

import pytest

from bench.figure import low
from bench.hook import Ways, documented_environment


def test_the_hook_takes_a_part_of_the_documented_ways_time(tmp_path: Path) -> None:
    environment = documented_environment()
    if environment is None:
        pytest.skip("there is no jq or no runc; `overbook sandbox prepare --kubernetes` fetches them")
    ways = Ways(str(tmp_path))
    # In turn, and in CPU time, because another test may use the core meanwhile.
    runs = [(ways.hook(), ways.documented(environment), ways.shell()) for _ in range(15)]
    ours, theirs, nothing = (low([cpu for _, cpu in column]) for column in zip(*runs, strict=True))

    assert ours < theirs / 2
    assert ours < 8 * nothing
