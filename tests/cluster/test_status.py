import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from overbook.cli import main
from overbook.deploy.rights import STATUS_RIGHTS, Right
from overbook.deploy.roles import status as status_role
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster import status_world
from tests.cluster.status_world import BUDGET, GI, LAUNCHER
from tests.docs.reading import ROOT

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(bare_cluster: ControlPlane, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `overbook status` and return its exit status, standard output and standard error."""

    def status(*words: str, kubeconfig: str = bare_cluster.kubeconfig) -> tuple[int, str, str]:
        code = main(["status", *words, "--kubeconfig", kubeconfig])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return status


@pytest.fixture(scope="module")
def world(bare_cluster: ControlPlane) -> ControlPlane:
    status_world.build(bare_cluster)
    return bare_cluster


def structured(run: Run, *words: str, **how: str) -> Any:
    _, out, err = run(*words, "-o", "json", **how)
    assert not err
    return json.loads(out)


def words(line: str, columns: int) -> str:
    """Return a line of the table with single spaces and the state set apart."""
    parts = line.split()
    return f"{' '.join(parts[:columns])} | {' '.join(parts[columns:])}"


def words_of(answer: Any) -> list[str]:
    return [finding["word"] for finding in answer["findings"]]


def test_status_reports_that_nothing_is_installed(run: Run) -> None:
    code, out, err = run()
    assert (code, err) == (1, "")
    assert "custom resources are not installed" in out
    assert "kubectl apply -k deploy/base" in out


@pytest.mark.usefixtures("world")
def test_the_table_has_every_node_within_120_columns(run: Run) -> None:
    code, out, err = run()
    assert (code, err) == (1, "")
    header, first, second, *_ = out.split("\n\n")[1].splitlines()
    assert words(header, 11) == "NODE RAM ALLOC REQUESTS LIMITS GUESTS LEVEL OVER SWAP USED IN/OUT | STATE"
    numbers, _, state = words(first, 12).partition(" | ")
    assert numbers == "worker-1 16.0 15.0 3.2 2.0+ 3.0 61 %+ no 8.0/8.0 3.0 1200/12.3k"
    assert state == "critical, tainted, all refused"
    numbers, _, state = words(second, 12).partition(" | ")
    assert numbers == "worker-2 16.0 15.0 1.0 2.0+ 0.0 200 %+ requests 0.0/8.0 - -/-"
    assert state == "no agent"
    assert header.index("STATE") <= 100  # what follows is as long as it has to be
    assert len(second) <= 120
    assert "\x1b" not in out


@pytest.mark.usefixtures("world")
def test_findings_are_worst_first_with_valid_commands(run: Run) -> None:
    _, out, _ = run()
    wrong = out.partition("what is wrong")[2]
    assert re.findall(r"^  (critical|warning|note) ", wrong, re.MULTILINE) == (
        ["critical"] * 3 + ["warning"] * 2
    )
    assert "node worker-1: no pod can be evicted: every candidate was refused" in wrong
    assert "$ kubectl -n shop get pdb db-budget" in wrong
    assert "node worker-2: no agent has reported" in wrong
    assert "less swap than 150 % needs: 0 of 8Gi" in wrong
    assert "would be restarted, not live-migrated" in wrong
    assert "kubectl -n shop patch vm db --type merge" in wrong


@pytest.mark.usefixtures("world")
def test_json_has_the_numbers_in_bytes(run: Run) -> None:
    answer = structured(run)
    first, second = answer["nodes"]
    assert first["name"] == "worker-1"
    assert first["sums"]["guestBytes"] == 3 * GI
    assert first["promisedPercent"] == 18
    assert first["swap"]["demandedBytes"] == 8 * GI
    assert first["relief"]["refusals"][0]["message"] == BUDGET
    assert second["agent"] is None
    assert [cause["word"] for cause in second["causes"]] == ["PodMakesNoRequest"] * 2
    assert answer["settings"]["percentage"] == 150
    assert answer["settings"]["controller"]["holder"] == "controller-a"
    assert answer["unread"] == []
    assert words_of(answer) == [
        "EveryoneRefused",
        "PressureCritical",
        "NoAgent",
        "SwapTooSmall",
        "WouldRestart",
    ]


@pytest.mark.usefixtures("world")
def test_nodes_are_selected_by_name_or_by_label(run: Run) -> None:
    named = structured(run, "worker-2")
    assert [node["name"] for node in named["nodes"]] == ["worker-2"]
    assert named["totals"]["pods"] == 2
    labelled = structured(run, "-l", "pool=virtual")
    assert [node["name"] for node in labelled["nodes"]] == ["worker-1"]
    code, out, err = run("worker-9")
    assert (code, out) == (2, "")
    assert err.startswith("overbook: node: 'worker-9'")


@pytest.mark.usefixtures("world")
def test_a_pod_is_shown_with_its_rank_and_its_history(run: Run) -> None:
    code, out, _ = run("pod", "-n", "shop", LAUNCHER)
    text = " ".join(out.split())
    assert code == 1  # something critical is wrong with its node
    assert f"Pod shop/{LAUNCHER} [on node worker-1]" in text
    assert "3Gi + 256Mi overhead" in text
    assert "number 1 of 1 candidates: 2048 MiB over its request" in text
    assert f"worker-1 refused: DisruptionBudget {BUDGET}" in text
    assert f"overbook-controller ReliefRefused {BUDGET}" in text
    answer = structured(run, "pod", f"shop/{LAUNCHER}")
    # Its share of the node's swap, as LimitedSwap has it.
    assert answer["pod"]["swapMaxBytes"] == int((2 * GI + (256 << 20)) / (16 * GI) * (8 * GI))
    assert answer["place"]["place"] == 1


@pytest.mark.usefixtures("world")
def test_a_pod_that_does_not_exist_is_refused(run: Run) -> None:
    code, _, err = run("pod", "shop/nobody")
    assert code == 2
    assert "'shop/nobody' is not valid" in err
    code, _, err = run("pod", "shop/a/b")
    assert code == 2
    assert "NAMESPACE/NAME" in err


@pytest.mark.usefixtures("world")
def test_a_namespace_is_shown_with_its_worst_pods_first(run: Run) -> None:
    code, out, _ = run("namespace", "batch")
    assert code == 0
    assert "overbook.dev/swap: disabled: none of its pods may swap" in out
    assert "no request" in out
    answer = structured(run, "namespace", "shop")
    assert [pod["name"] for pod in answer["pods"]] == [LAUNCHER, "web", "web-2"]
    assert answer["sums"]["virtualMachines"] == 1
    assert run("namespace", "nowhere")[0] == 2


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("words", ["", f" pod shop/{LAUNCHER}", " namespace shop"])
def test_the_page_shows_what_a_run_prints(run: Run, words: str) -> None:
    page = (ROOT / "docs" / "status.md").read_text("utf-8")
    shown = page.partition(f"```console\n$ overbook status{words}\n")[2].partition("```")[0]
    assert shown == run(*words.split())[1]


def granted(plane: ControlPlane, user: str, *rules: str) -> str:
    """Return a user's kubeconfig, with rights such as `list nodes`."""
    for number, rule in enumerate(rules):
        verbs, resources = rule.split()
        name = f"{user}-{number}"
        plane.kubectl("create", "clusterrole", name, f"--verb={verbs}", f"--resource={resources}")
        plane.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", f"--user={user}")
    return plane.user_kubeconfig(user)


def test_the_shipped_role_is_sufficient(world: ControlPlane, run: Run) -> None:
    world.kubectl("create", "clusterrolebinding", "ada", "--clusterrole=overbook-status", "--user=ada")
    ada = world.user_kubeconfig("ada")
    for words in ((), ("worker-1",), ("pod", f"shop/{LAUNCHER}"), ("namespace", "shop")):
        assert structured(run, *words, kubeconfig=ada)["unread"] == []
    assert words_of(structured(run, kubeconfig=ada)) == words_of(structured(run))


RIGHTS = [(right, resource) for right in STATUS_RIGHTS for resource in right.resources]


@pytest.mark.parametrize(("right", "resource"), RIGHTS, ids=[resource for _, resource in RIGHTS])
def test_every_right_of_the_shipped_role_is_needed(
    world: ControlPlane, run: Run, right: Right, resource: str
) -> None:
    left = [structs.replace(each, resources=_without(each, right, resource)) for each in STATUS_RIGHTS]
    role = status_role()[0]
    role["metadata"] = {"name": f"all-but-{resource}"}
    role["rules"] = [each.rule() for each in left if each.resources]
    world.kubectl("apply", "-f", "-", stdin=json.dumps(role))
    user = f"no-{resource}"
    role_of = f"--clusterrole=all-but-{resource}"
    world.kubectl("create", "clusterrolebinding", user, role_of, f"--user={user}")
    kubeconfig = world.user_kubeconfig(user)
    unread: list[str] = []
    for words in ((), ("pod", f"shop/{LAUNCHER}"), ("namespace", "shop")):
        code, out, err = run(*words, "-o", "json", kubeconfig=kubeconfig)
        unread += [err] if code == 2 else [one["resource"] for one in json.loads(out)["unread"]]
    assert any(resource in one for one in unread)


def _without(right: Right, other: Right, resource: str) -> tuple[str, ...]:
    return tuple(each for each in right.resources if right is not other or each != resource)


def test_status_with_fewer_rights_shows_what_it_may(world: ControlPlane, run: Run) -> None:
    nodes = granted(world, "bob", "list nodes")
    code, out, err = run(kubeconfig=nodes)
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    assert "pods cannot be read: totals of requests, limits and guest memory are not shown" in text
    assert "overcommitnodes cannot be read: what agents report is not shown" in text
    assert "--clusterrole=overbook-status --user=bob" in out
    assert "agent not known" in out
    assert "no agent" not in out
    reports = granted(world, "eve", "list overcommitnodes.overbook.dev")
    (only,) = structured(run, kubeconfig=reports)["nodes"]
    assert (only["name"], only["pressure"]["state"], only["sums"]) == ("worker-1", "Critical", None)


def test_status_without_rights_is_one_line(world: ControlPlane, run: Run) -> None:
    nobody = world.user_kubeconfig("nobody")
    for words in ((), ("pod", f"shop/{LAUNCHER}"), ("namespace", "shop")):
        code, out, err = run(*words, kubeconfig=nobody)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert "nobody" in err


def test_an_api_server_that_does_not_answer_is_one_line(
    world: ControlPlane, run: Run, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        text = Path(world.kubeconfig).read_text("utf-8").replace(f":{world.port}", f":{port}")
        path = tmp_path / "elsewhere.kubeconfig"
        path.write_text(text, "utf-8")
        code, out, err = run(kubeconfig=str(path))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"127.0.0.1:{port}" in err
    assert run(kubeconfig="/nowhere")[0] == 2
