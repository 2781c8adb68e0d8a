import pytest

from overbook.core.errors import InvalidInput
from overbook.core.overcommit.allowance import Eligibility
from overbook.core.overcommit.writer import (
    WRITERS,
    AskedWriter,
    Writer,
    WriterInputs,
    check_asked,
    choose_writer,
    writer_in_force,
)

VMS: Eligibility = "BurstableVirtualMachines"
ALL: Eligibility = "Burstable"
NRI = WriterInputs(kubelet="NoSwap", nri_socket="/var/run/nri/nri.sock")
HOOKS = WriterInputs(kubelet="NoSwap", hook_folder="/etc/containers/oci/hooks.d")
NEITHER = WriterInputs(kubelet="NoSwap")
LIMITED = WriterInputs(kubelet="LimitedSwap", kubelet_limits=True, nri_socket="/var/run/nri/nri.sock")
BLIND = WriterInputs(kubelet="LimitedSwap", kubelet_limits=False)


@pytest.mark.parametrize(
    ("facts", "writer"), [(NRI, "nri"), (HOOKS, "hook"), (NEITHER, "reconcile"), (BLIND, "reconcile")]
)
def test_auto_takes_the_earliest_writer_there_is(facts: WriterInputs, writer: Writer) -> None:
    assert choose_writer("auto", facts, VMS, "proportional").writer == writer


def test_auto_leaves_the_limits_to_a_kubelet_with_limited_swap() -> None:
    assert choose_writer("auto", LIMITED, ALL, "proportional").writer == "kubelet"


def test_limited_swap_goes_with_every_burstable_pod_only() -> None:
    with pytest.raises(InvalidInput, match="swapBehavior: NoSwap"):
        choose_writer("auto", LIMITED, VMS, "proportional")


def test_limited_swap_goes_with_its_own_formula_only() -> None:
    with pytest.raises(InvalidInput, match="formula"):
        choose_writer("auto", LIMITED, ALL, "whole")


@pytest.mark.parametrize("writer", [writer for writer in WRITERS if writer != "kubelet"])
def test_a_writer_beside_a_kubelet_with_limited_swap_is_refused(writer: Writer) -> None:
    with pytest.raises(InvalidInput, match="swapBehavior: NoSwap"):
        choose_writer(writer, LIMITED, ALL, "proportional")


@pytest.mark.parametrize(
    ("writer", "facts"), [("nri", HOOKS), ("hook", NRI), ("kubelet", NRI), ("kubelet", BLIND)]
)
def test_a_missing_writer_is_refused_with_its_fix(writer: Writer, facts: WriterInputs) -> None:
    with pytest.raises(InvalidInput, match="auto"):
        choose_writer(writer, facts, VMS, "proportional")


def test_an_unknown_kubelet_is_taken_to_write_where_configured() -> None:
    assert choose_writer("kubelet", WriterInputs(), ALL, "proportional").writer == "kubelet"


@pytest.mark.parametrize(
    ("asked", "facts", "writer"),
    [
        ("auto", LIMITED, "kubelet"),  # for VMs only: with the kubelet, two programs would write
        ("nri", LIMITED, "kubelet"),
        ("nri", NEITHER, "reconcile"),
        ("hook", NEITHER, "reconcile"),
        ("kubelet", NEITHER, "kubelet"),  # no other writer was asked for
    ],
)
def test_a_node_is_protected_whatever_its_settings_are(
    asked: AskedWriter, facts: WriterInputs, writer: Writer
) -> None:
    choice = writer_in_force(asked, facts, VMS, "proportional")

    assert choice.writer == writer
    assert "expected" in choice.problem


def test_fitting_settings_have_no_problem() -> None:
    assert writer_in_force("auto", NRI, VMS, "proportional").problem == ""


def test_settings_in_conflict_on_every_node_are_refused() -> None:
    check_asked("kubelet", ALL, "proportional")
    for eligibility, allowance in ((VMS, "proportional"), (ALL, "whole")):
        with pytest.raises(InvalidInput, match="swapBehavior"):
            check_asked("kubelet", eligibility, allowance)  # type: ignore[arg-type] # a plain text in the loop


@pytest.mark.parametrize("asked", ["auto", *WRITERS])
def test_no_limit_is_written_beside_an_unknown_behaviour(asked: AskedWriter) -> None:
    unknown = WriterInputs(kubelet="Unknown", nri_socket="/var/run/nri/nri.sock", hook_folder="/etc/hooks")

    with pytest.raises(InvalidInput, match="swapBehavior"):
        choose_writer(asked, unknown, VMS, "proportional")
    choice = writer_in_force(asked, unknown, VMS, "proportional")

    assert choice.writer == "kubelet"
    assert "swapBehavior" in choice.problem
