"""A real kubelet that runs reports on ``/configz`` what is read of its flags and files here."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from overbook.core.kubernetes.kubelet import reported_configuration
from overbook.node.kubelet import running_kubelet
from overbook_sandbox.cluster.go_programs import find
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from overbook_sandbox.node.node_configuration import CONTAINERD_SOCKET
from tests.cluster.node import kubelets_in_turn
from tests.node.kubelet_table import ROWS, Row, filled, real_flags, write_files
from tests.node.test_kubelet_table import place

SOCKET = "/run/kt/containerd.sock"
FIRST_PORT = 21000
SECONDS = 230.0
ASKED = tuple(
    row
    for row in ROWS
    if row.name
    in {
        "flags alone have no thresholds",
        "a drop-in is merged into the file's defaults",
        "a flag replaces the file's map",
        "a soft threshold without a time",
        "swap is refused by default",
        "k3s with a title and its own flags",
    }
)
"""Each takes some ten seconds of a node with one CPU; tests/cluster asks all of them for what they log."""


@pytest.fixture(scope="module")
def outcomes(node: KubernetesNode) -> Mapping[str, Mapping[str, Any]]:
    """What each kubelet says, by the row's name."""
    folder = Path(node.folder) / "kt"
    folder.mkdir()
    containerd = node_containerd(node, folder)
    kubelets = [started(folder, number, row) for number, row in enumerate(ASKED)]
    plan = {
        "containerd": containerd,
        "socket": SOCKET,
        "log": str(folder / "containerd.log"),
        "kubelets": kubelets,
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    done = node.run(
        "/usr/bin/env", "python3", kubelets_in_turn.__file__, str(folder / "plan.json"), seconds=SECONDS
    )
    assert done.status == 0, done.output
    lines = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    return {line["name"]: line for line in lines}


def node_containerd(node: KubernetesNode, folder: Path) -> list[str]:
    text = (Path(node.folder) / "containerd.toml").read_text()
    text = text.replace(CONTAINERD_SOCKET, SOCKET).replace("/var/lib/containerd", "/run/kt/root")
    (folder / "containerd.toml").write_text(text.replace('"/run/containerd"', '"/run/kt/state"'))
    program = json.loads((Path(node.folder) / "plan.json").read_text())["containerd"][0]
    return [program, f"--config={folder / 'containerd.toml'}"]


def started(folder: Path, number: int, row: Row) -> dict[str, Any]:
    own = folder / str(number)
    write_files(own, row)
    port, cgroup = FIRST_PORT + number, f"kt-{number}"
    argv = [
        find().path("kubelet"),
        *real_flags(own, row),
        f"--root-dir=/run/kt/{number}",
        f"--cert-dir=/run/kt/{number}/pki",
        f"--container-runtime-endpoint=unix://{SOCKET}",
        f"--port={port}",
        "--address=127.0.0.1",
        "--healthz-port=0",
        "--read-only-port=0",
        "--anonymous-auth=true",
        "--authentication-token-webhook=false",
        "--authorization-mode=AlwaysAllow",
        "--make-iptables-util-chains=false",
        "--resolv-conf=",
        f"--cgroup-root=/{cgroup}",
        "--hostname-override=kt",
    ]
    return {
        "name": row.name,
        "argv": argv,
        "port": port,
        "cgroup": cgroup,
        "log": str(own.with_suffix(".log")),
    }


@pytest.mark.parametrize("row", ASKED, ids=[row.name.replace(" ", "-") for row in ASKED])
def test_a_real_kubelet_reports_what_is_read_here(
    tmp_path: Path, outcomes: Mapping[str, Mapping[str, Any]], row: Row
) -> None:
    outcome = outcomes[row.name]
    if row.refused:
        assert row.refused in outcome.get("log", ""), outcome
        return
    assert "reported" in outcome, outcome["log"]
    place(tmp_path, row)

    kubelet = running_kubelet(str(tmp_path))

    assert kubelet is not None
    assert filled(kubelet.configuration) == filled(reported_configuration(outcome["reported"]))
