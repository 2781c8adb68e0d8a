import json
import pathlib
import subprocess
import sys

import pytest

from overbook.cli import main
from overbook.cli.commands.node.doctor import render
from overbook.node.doctor.check import HostFinding
from overbook.node.doctor.diagnosis import Diagnosis, Fine
from overbook_sandbox.fakes.kernel_files import build_tree, make_node

GIB = 1 << 30
BROKEN = HostFinding("Broken", "NoSwap", "swap is off", "overbook node swap apply --percent 150")
RISKY = HostFinding("Risky", "SlowSwap", "a disk with heads", "use an NVMe disk")
UNSEEN = HostFinding("Note", "NotLooked", "swap could not be looked at", "look as root")
NOTE = HostFinding("Note", "CompressedSwap", "swap is zram", "count that as used")


def rendered(*findings: HostFinding) -> list[str]:
    return list(render(Diagnosis(findings, (Fine("cgroup", "version 2"),))))


def test_doctor_prints_the_worst_first_and_marks_commands() -> None:
    assert rendered(BROKEN, RISKY) == [
        "what is wrong, worst first",
        "  broken  swap is off",
        "          $ overbook node swap apply --percent 150",
        "  risky   a disk with heads",
        "          use an NVMe disk",
        "",
        "what is right",
        "  cgroup        version 2",
    ]


@pytest.mark.parametrize(
    ("findings", "headline"),
    [
        ((), "nothing is wrong"),
        ((NOTE,), "nothing is wrong; worth knowing"),
        ((NOTE, UNSEEN), "nothing wrong was found, but not everything could be checked"),
        ((RISKY, UNSEEN), "what is wrong, worst first"),
    ],
)
def test_headline_claims_no_more_than_was_seen(findings: tuple[HostFinding, ...], headline: str) -> None:
    assert rendered(*findings)[0] == headline


@pytest.fixture
def host(tmp_path: pathlib.Path) -> pathlib.Path:
    make_node(tmp_path, mem_total_bytes=GIB, swap_total_bytes=0)
    build_tree(tmp_path, {"etc": {}, "run": {}, "opt": {}, "usr": {}, "proc/1/net/unix": "Num\n"})
    return tmp_path


def test_exit_status_is_1_only_where_something_is_broken(
    host: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor = ["node", "doctor", "--fsroot", str(host)]

    assert main([*doctor, "--percent", "150"]) == 1
    assert "swap is off; 150 % needs 512Mi\n" in capsys.readouterr().out
    assert main(doctor) == 0


def test_the_percentage_is_the_one_that_swap_was_provisioned_for(
    host: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_tree(host, {"etc/overbook/swap.conf": "PERCENT=125\n"})

    assert main(["node", "doctor", "--fsroot", str(host)]) == 1
    assert "125 % needs 256Mi" in capsys.readouterr().out


def test_findings_are_available_as_json(host: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["node", "doctor", "--fsroot", str(host), "--percent", "150", "--output", "json"]) == 1

    said = json.loads(capsys.readouterr().out)
    assert said["broken"] is True
    assert said["findings"][0] == {
        "severity": "Broken",
        "word": "NoSwap",
        "sentence": "swap is off; 150 % needs 512Mi",
        "mend": "overbook node swap apply --percent 150",
    }
    assert said["fine"]["cgroup"] == "version 2"


def test_an_invalid_percentage_is_refused_in_one_line(
    host: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["node", "doctor", "--fsroot", str(host), "--percent", "5"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_doctor_starts_fast(host: pathlib.Path) -> None:
    program = (
        "import sys; from overbook.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    )
    argv = [sys.executable, "-c", program, "node", "doctor", "--fsroot", str(host)]
    ended = subprocess.run(argv, capture_output=True, text=True, check=True)  # noqa: S603 - ours

    assert {"asyncio", "ssl", "rich", "yaml", "http"}.isdisjoint(ended.stderr.split())
