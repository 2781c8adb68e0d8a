import json
from typing import Any

import pytest

from overbook.cli import main


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(["swap-size", *arguments]) == status
    return capsys.readouterr().out


def decoded(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(answer(capsys, *arguments, "-o", "json", status=status))
    return value


@pytest.mark.parametrize(
    ("ram", "result"),
    [("16Gi", "8Gi"), ("16G", "8G"), ("16 GB", "8G"), ("16GB", "8G"), ("17179869184", "8Gi")],
)
def test_the_documents_example_is_printed_in_the_wanted_unit(
    capsys: pytest.CaptureFixture[str], ram: str, result: str
) -> None:
    text = answer(capsys, "--ram", ram, "--overcommit", "150")
    assert text.splitlines()[-1] == f"     = {result}"
    assert "RAM × (percent / 100 - 1)" in text


def test_swap_size_gives_the_percentage_of_a_given_swap(capsys: pytest.CaptureFixture[str]) -> None:
    assert "= 150 %\n" in answer(capsys, "--ram", "16Gi", "--swap", "8Gi")
    assert "= 133 %, rounded down" in answer(capsys, "--ram", "3Gi", "--swap", "1Gi")


def test_swap_size_leaves_out_huge_pages(capsys: pytest.CaptureFixture[str]) -> None:
    text = answer(capsys, "--ram", "64Gi", "--huge-pages", "48Gi", "--overcommit", "150")
    assert text.splitlines()[0] == "RAM = 64Gi - 48Gi of huge pages = 16Gi"
    assert text.splitlines()[-1] == "     = 8Gi"
    assert main(["swap-size", "--ram", "8Gi", "--huge-pages", "8Gi", "--overcommit", "150"]) == 2


def test_too_little_swap_is_the_answer_no(capsys: pytest.CaptureFixture[str]) -> None:
    text = answer(capsys, "--ram", "16Gi", "--swap", "4Gi", "--overcommit", "150", status=1)
    assert "125 %: too small" in text


def test_a_guest_fits_with_the_formulas_swap(capsys: pytest.CaptureFixture[str]) -> None:
    said = decoded(capsys, "--ram", "16Gi", "--overcommit", "150", "--guest", "4Gi", "--overhead", "296Mi")
    guest = said["guest"]
    overhead = 296 << 20
    assert guest["requestBytes"] == (4 << 30) * 100 // 150 + overhead
    # guest + overhead × percent / 100, but for the rounding of one request
    assert abs(guest["coveredBytes"] - ((4 << 30) + overhead * 3 // 2)) <= 2
    assert guest["fits"]


def test_a_guest_that_would_not_fit_is_the_answer_no(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--ram", "16Gi", "--swap", "4Gi", "--overcommit", "150", "--guest", "4Gi")
    said = decoded(capsys, *arguments, status=1)
    assert not said["guest"]["fits"]
    assert said["guest"]["overheadBytes"] == 296 << 20
    assert "are missing" in answer(capsys, *arguments, status=1)


def test_swap_size_prints_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    assert "neededSwapBytes: 8589934592" in answer(
        capsys, "--ram", "16Gi", "--overcommit", "150", "-o", "yaml"
    )
