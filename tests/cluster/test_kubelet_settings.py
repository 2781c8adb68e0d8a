"""A real kubelet with each configuration of the table has in force what is read of its flags and files here.

It logs the configuration in force, the same one that ``/configz`` serves, before it does anything; then it
ends, since there is no API server. Some of them run on a node, and are asked for ``/configz``, in
`tests/cluster/node`.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from overbook.core.kubernetes.kubelet import reported_configuration
from overbook.node.kubelet import running_kubelet
from overbook_sandbox.cluster import go_programs
from tests.node.kubelet_table import ROWS, Row, filled, real_flags, write_files
from tests.node.test_kubelet_table import place
from tests.sandbox_parts import made

LOGGED = re.compile(r'"KubeletConfiguration" configuration=<\n(.*?)\n >', re.DOTALL)
INITIALISMS = {"QOSReserved": "qosReserved", "CPUCFSQuota": "cpuCFSQuota"}
LATER = {"swap", "grace period"}
"""What a kubelet refuses only when it runs."""


@pytest.mark.parametrize("row", ROWS, ids=[row.name.replace(" ", "-") for row in ROWS])
def test_a_real_kubelet_has_in_force_what_is_read_here(tmp_path: Path, row: Row) -> None:
    log = kubelet_log(tmp_path / "real", row)
    found = LOGGED.search(log)
    if row.refused and row.refused not in LATER:
        assert found is None
        assert row.refused in log
        return
    assert found is not None, log
    place(tmp_path / "read", row)

    kubelet = running_kubelet(str(tmp_path / "read"))

    assert kubelet is not None
    assert filled(kubelet.configuration) == filled(reported_configuration(reported(json.loads(found[1]))))


def kubelet_log(folder: Path, row: Row) -> str:
    """What a kubelet says until it ends."""
    write_files(folder, row)
    argv = [
        made(go_programs.find).path("kubelet"),
        *real_flags(folder, row),
        f"--root-dir={folder}/root",
        f"--cert-dir={folder}/pki",
        f"--container-runtime-endpoint=unix://{folder}/none.sock",
        "--fail-cgroupv1=false",
        "--authentication-token-webhook=true",
        "--v=5",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - ours
    assert done.returncode
    return done.stderr


def reported(logged: dict[str, Any]) -> dict[str, Any]:
    """The logged configuration with the field names of ``/configz``."""
    fields = {INITIALISMS.get(name, name[:1].lower() + name[1:]): value for name, value in logged.items()}
    fields["memorySwap"] = {"swapBehavior": logged["MemorySwap"]["SwapBehavior"]}
    return {name: value for name, value in fields.items() if value is not None}
