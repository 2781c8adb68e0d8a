import json
import subprocess
import sys


def test_nri_plugin_stays_within_its_time_and_memory_bounds() -> None:
    command = [sys.executable, "-m", "bench", "nri", "--quick", "--output", "json"]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=300)  # noqa: S603 - our own program
    figures = json.loads(ended.stdout)
    assert len(figures) == 3
    assert {figure["verdict"] for figure in figures} <= {"met", "within noise", "for information"}, figures
