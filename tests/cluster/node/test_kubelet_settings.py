"""A real kubelet with each configuration of the table reports on ``/configz`` what is read of its files here."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from overbook.core.kubernetes.kubelet import KubeletConfiguration, reported_configuration
from overbook.node.kubelet import running_kubelet
from overbook_sandbox.cluster.go_programs import find
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from overbook_sandbox.node.node_configuration import CONTAINERD_SOCKET
from tests.cluster.node import kubelets_in_turn
from tests.node.kubelet_table import HEAD, ROWS, Row
from tests.node.test_kubelet_table import place

SOCKET = "/run/kt/containerd.sock"
FIRST_PORT = 21000
SECONDS = 230.0


@pytest.fixture(scope="module")
def outcomes(node: KubernetesNode) -> Mapping[str, Mapping[str, Any]]:
    """What each kubelet says, by the row's name."""
    folder = Path(node.folder) / "kt"
    folder.mkdir()
    containerd = node_containerd(node, folder)
    kubelets = [started(folder, number, row) for number, row in enumerate(ROWS)]
    plan = {"containerd": containerd, "socket": SOCKET, "kubelets": kubelets}
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
    for path, text in row.files.items():
        file = own / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(HEAD + text if "kubelet.conf.d" in path or path.endswith("kubelet.yaml") else text)
    words = row.real if row.real is not None else row.words[1:]
    flags = [re.sub("^(--config(?:-dir)?)=/", rf"\1={own}/", word) for word in words]
    port, cgroup = FIRST_PORT + number, f"kt-{number}"
    argv = [
        find().path("kubelet"),
        *flags,
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


@pytest.mark.parametrize("row", ROWS, ids=[row.name.replace(" ", "-") for row in ROWS])
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


def filled(configuration: KubeletConfiguration) -> KubeletConfiguration:
    """A configuration in which nothing is left to a default."""
    return msgspec.structs.replace(
        configuration,
        eviction_hard=dict(configuration.eviction_hard or {}),
        eviction_soft=configuration.eviction_soft or {},
        eviction_soft_grace_period=configuration.eviction_soft_grace_period or {},
        system_reserved=configuration.system_reserved or {},
        kube_reserved=configuration.kube_reserved or {},
        qos_reserved=configuration.qos_reserved or {},
        feature_gates=configuration.feature_gates or {},
        enforce_node_allocatable=["pods"]
        if configuration.enforce_node_allocatable is None
        else configuration.enforce_node_allocatable,
        memory_swap=type(configuration.memory_swap)(configuration.memory_swap.swap_behavior or "NoSwap"),
        memory_throttling_factor=configuration.memory_throttling_factor or 0.9,
    )
