from pkgutil import iter_modules
from typing import get_args

import pytest

from overbook.agent.limits import writers
from overbook.agent.limits.swap_limits import LimitNotWritten
from overbook.agent.limits.writers import MAKERS
from overbook.agent.limits.writers.writer import Unwritten, WriterMeans
from overbook.core.overcommit.writer import EARLY, WRITERS, Writer, WriterInputs


def means() -> WriterMeans:
    return WriterMeans("/", WriterInputs(), lambda _key: None, None)


def test_every_writer_that_can_be_chosen_can_be_made() -> None:
    assert tuple(MAKERS) == WRITERS
    assert {early.writer for early in EARLY} <= set(WRITERS)


def test_every_module_of_a_writer_is_in_the_list() -> None:
    modules = {module.name for module in iter_modules(writers.__path__)} - {"writer", "reporting"}
    assert set(MAKERS) == modules


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_is_in_the_module_called_as_it_is(name: Writer) -> None:
    assert MAKERS[name].__module__.rpartition(".")[2] == name


@pytest.mark.parametrize("reason", get_args(Unwritten))
def test_a_limit_that_is_not_written_is_explained(reason: Unwritten) -> None:
    sentence = str(LimitNotWritten("demo/vm/compute", 8 << 20, 16 << 20, "as the allowance says", reason))
    assert "16 MiB (as the allowance says)" in sentence
    assert ("8 MiB" in sentence) is (reason != "Observing")
