from pkgutil import iter_modules

import pytest

from overbook.agent.limits import writers
from overbook.agent.limits.writers import MAKERS
from overbook.agent.limits.writers.writer import WriterMeans
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


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_says_what_a_limit_is_that_it_does_not_write(name: Writer) -> None:
    assert "8 MiB" in MAKERS[name](means()).unwritten("8 MiB")
