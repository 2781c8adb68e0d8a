import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, sys
import overbook.agent.loop, overbook.agent.source, overbook.agent.settings
import overbook.cli, overbook.cli.commands.agent, overbook.cli.parser
from overbook.agent.source import ManifestDirectory
pods = ManifestDirectory(sys.argv[1]) if len(sys.argv) > 1 else None
with open("/proc/self/status", encoding="ascii") as file:
    resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
print(json.dumps({"modules": sorted(sys.modules), "kib": resident, "pods": len(pods.pods) if pods else 0}))
"""
API = """
import json, sys
import overbook.agent.loop, overbook.agent.cluster, overbook.agent.api.thread, overbook.agent.api.worker
with open("/proc/self/status", encoding="ascii") as file:
    resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
print(json.dumps({"modules": sorted(sys.modules), "kib": resident}))
"""
MOST_MODULES = 280
"""Measured: 278 with Python 3.11, NRI and the kubelet's configuration among them, and the packages' own."""
MOST_API_MIB = 32
"""Measured: 27.3 MiB with Python 3.11."""
MOST_MIB = 30
"""Measured: 18.7 MiB with Python 3.11."""
NEVER = {"rich", "asyncio", "http", "ssl", "numpy", "multiprocessing", "concurrent", "email", "urllib"}
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": "u"}, "spec": {"containers": []}}


def loaded(*arguments: str) -> tuple[set[str], int, int]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    said = json.loads(ended.stdout)
    return set(said["modules"]), said["kib"], said["pods"]


def test_the_agent_imports_little_and_none_of_the_heavy_ones() -> None:
    modules, kib, _ = loaded()
    assert modules.isdisjoint(NEVER | {"yaml"})
    assert not any(name.startswith("overbook_sandbox") for name in modules)
    assert len(modules) <= MOST_MODULES
    assert kib <= MOST_MIB * 1024


def test_json_manifests_need_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "pod.json").write_text(json.dumps(POD), "utf-8")
    modules, _, pods = loaded(str(tmp_path))
    assert pods == 1
    assert modules.isdisjoint(NEVER | {"yaml"})


def test_the_first_yaml_manifest_imports_only_yaml(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(json.dumps(POD), "utf-8")
    (tmp_path / "pod2.yaml").write_text(
        "kind: Pod\napiVersion: v1\nmetadata: {uid: v, name: q}\nspec: {containers: []}\n", "utf-8"
    )
    modules, _, pods = loaded(str(tmp_path))
    assert pods == 2
    assert "yaml" in modules
    assert modules.isdisjoint(NEVER)


def test_api_client_imports_event_loop_and_tls_but_nothing_heavy() -> None:
    ended = subprocess.run([sys.executable, "-c", API], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    said = json.loads(ended.stdout)
    modules = set(said["modules"])
    assert {"asyncio", "ssl"} <= modules
    assert modules.isdisjoint((NEVER | {"yaml", "cryptography", "uvloop"}) - {"asyncio", "ssl", "concurrent"})
    assert said["kib"] <= MOST_API_MIB * 1024
