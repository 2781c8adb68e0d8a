import pathlib
import re
import subprocess

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overbook_sandbox.machine.errors import SandboxError
from overbook_sandbox.machine.job import Job, job_archive
from overbook_sandbox.machine.spec import MachineSpec

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@pytest.fixture
def job(tmp_path: pathlib.Path) -> Job:
    return Job(argv=("true",), share=str(tmp_path), environment={}, directory="/")


def script_of(job: Job, spec: MachineSpec | None = None) -> str:
    archive = job_archive(job, spec or MachineSpec(), "marker")
    found = re.search(rb"job\.sh\0\0*(marker=.*\n}\n)", archive, re.DOTALL)
    assert found is not None
    return found[1].decode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(words=st.lists(WORDS, min_size=1), variable=WORDS)
def test_words_and_variables_arrive_unchanged(job: Job, words: list[str], variable: str) -> None:
    job = msgspec.structs.replace(
        job,
        argv=("sh", "-c", 'for word in "$@" "$CHOSEN"; do printf "%s\\0" "$word"; done', "sh", *words),
        environment={"CHOSEN": variable},
    )
    shell = subprocess.run(["/bin/sh", "-c", f"{script_of(job)}\njob"], capture_output=True, check=True)  # noqa: S603 - no shell; the argv is ours
    assert shell.stdout.decode().split("\0") == [*words, variable, ""]


def test_the_start_script_knows_the_node(job: Job) -> None:
    assert "cgroup_version=1\n" in script_of(job, MachineSpec(cgroup_version=1))
    assert "swap=on\n" in script_of(job)
    assert "swap=off\n" in script_of(job, MachineSpec(swap_on=False))
    assert "swap=off\n" in script_of(job, MachineSpec(swap_bytes=0))


def test_the_start_script_knows_what_the_job_needs(job: Job) -> None:
    assert "takes_input=no\n" in script_of(job)
    assert "takes_input=yes\n" in script_of(msgspec.structs.replace(job, takes_input=True))
    assert "first_process=no\n" in script_of(job)
    assert "first_process=yes\n" in script_of(msgspec.structs.replace(job, first_process=True))
    assert "address=''\n" in script_of(job)
    assert "address=10.0.2.15\n" in script_of(job, MachineSpec(network=True))


def test_the_job_can_tell_that_it_is_in_a_node(job: Job) -> None:
    assert "export OVERBOOK_IN_NODE=1\n" in script_of(job)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"argv": ()}, "no command"),
        ({"share": "/nowhere"}, "/nowhere: the folder to share"),
        ({"environment": {"a b": "c"}}, "'a b' is no name"),
    ],
)
def test_a_job_that_cannot_run_is_refused(job: Job, change: dict[str, object], complaint: str) -> None:
    with pytest.raises(SandboxError, match=complaint):
        script_of(msgspec.structs.replace(job, **change))
