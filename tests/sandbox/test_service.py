import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from overbook_sandbox.cluster.service import Service, ServiceError
from tests.waiting import wait_for

WITH_CHILD = "sleep 600 & echo child $!; wait"


def child_of(service: Service) -> int:
    def found() -> int:
        return next((int(line.split()[1]) for line in service.log_tail() if line.startswith("child ")), 0)

    return wait_for(found, "the program's child")


def is_alive(process_id: int) -> bool:
    try:
        with open(f"/proc/{process_id}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_tied(process_id: int) -> bool:
    with open(f"/proc/{process_id}/cmdline", "rb") as file:
        return file.read().startswith(b"/bin/sleep")


@pytest.mark.parametrize("how", [Service.stop, Service.kill])
def test_a_program_ends_with_its_children(tmp_path: pathlib.Path, how: object) -> None:
    service = Service("parent", ["/bin/sh", "-c", WITH_CHILD], str(tmp_path))
    service.start()
    child = child_of(service)
    assert callable(how)
    how(service)
    assert not service.running
    wait_for(lambda: not is_alive(child), "the child has ended")


def test_a_program_that_ended_shows_the_end_of_its_log(tmp_path: pathlib.Path) -> None:
    service = Service("broken", ["/bin/sh", "-c", "echo no such flag; exit 3"], str(tmp_path))
    service.start()
    wait_for(lambda: not service.running, "it has ended")
    with pytest.raises(ServiceError, match=r"broken ended with status 3\n(?s:.*)no such flag"):
        service.require_running()


def test_a_program_outlives_the_thread_that_started_it(tmp_path: pathlib.Path) -> None:
    service = Service("sleeper", ["/bin/sleep", "600"], str(tmp_path))
    thread = threading.Thread(target=service.start)
    thread.start()
    thread.join()
    assert service.running
    service.stop()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is what ties them together")
def test_a_program_does_not_outlive_a_killed_parent(tmp_path: pathlib.Path) -> None:
    text = (
        "import time; from overbook_sandbox.cluster.service import Service\n"
        f"service = Service('sleeper', ['/bin/sleep', '600'], {str(tmp_path)!r})\n"
        "service.start(); print(service.process_id, flush=True); time.sleep(600)"
    )
    argv = [sys.executable, "-c", text]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:  # noqa: S603 - our own text
        assert parent.stdout is not None
        sleeper = int(parent.stdout.readline())
        wait_for(lambda: is_tied(sleeper), "setpriv has done its work")
        os.kill(parent.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(sleeper), "the program has ended")
