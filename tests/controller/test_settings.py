import json
import subprocess
import sys

import pytest

from overbook.controller.settings import ControllerSettings, load
from overbook.core.errors import InvalidInput


def test_flags_win_over_environment_over_defaults() -> None:
    assert load({}, {}) == ControllerSettings()
    environment = {"POD_NAMESPACE": "elsewhere", "POD_NAME": "one"}
    assert load(environment, {}) == ControllerSettings(namespace="elsewhere", identity="one")
    assert load(environment, {"namespace": "here"}).namespace == "here"


def test_the_namespace_is_required() -> None:
    with pytest.raises(InvalidInput, match="--namespace"):
        load({}, {"namespace": ""})


def overbook(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "overbook", "controller", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_check_config_shows_the_result_and_stops() -> None:
    done = overbook("--check-config", "--mode", "observe", "--no-leader-elect", "-v")
    assert done.returncode == 0
    shown = json.loads(done.stdout)
    assert (shown["mode"], shown["leaderElect"], shown["verbosity"]) == ("Observe", False, 2)


def test_an_invalid_kubeconfig_is_one_line_and_status_2() -> None:
    done = overbook("--kubeconfig", "/does/not/exist")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "/does/not/exist" in done.stderr
