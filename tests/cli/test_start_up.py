import json
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "burstable-pod.yaml"
PROGRAM = """
import json, sys
from overbook.cli import main
status = main(sys.argv[1:])
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
raise SystemExit(status)
"""
MOST_MODULES = 180
"""Measured: 160 with Python 3.11."""


def modules_after(*arguments: str) -> set[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return set(json.loads(ended.stderr))


def test_explain_of_json_imports_no_yaml_terminal_or_event_loop(tmp_path: Path) -> None:
    path = tmp_path / "pod.json"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c"}]},
    }
    path.write_text(json.dumps(pod), "utf-8")
    modules = modules_after("explain", str(path), "--node-memory", "1Gi")
    assert modules.isdisjoint({"yaml", "rich", "asyncio", "http", "socket", "ssl", "logging", "subprocess"})
    assert not any(name.startswith(("overbook.agent", "overbook_sandbox")) for name in modules)
    assert len(modules) <= MOST_MODULES


def test_help_imports_no_command() -> None:
    modules = modules_after("--help")
    assert "msgspec" not in modules
    assert not any(name.startswith("overbook.core") for name in modules)


def test_yaml_is_imported_where_it_is_read() -> None:
    assert "yaml" in modules_after("explain", str(EXAMPLE), "--node-memory", "1Gi")


def test_status_help_imports_neither_client_nor_terminal_library() -> None:
    modules = modules_after("status", "--help")
    assert modules.isdisjoint({"asyncio", "ssl", "rich", "msgspec", "yaml"})
