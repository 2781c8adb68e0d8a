import gzip
import io
import pathlib
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from overbook_sandbox.demo.load import COUNTER
from overbook_sandbox.machine.packages import Host
from overbook_sandbox.node.load_image import IMAGE, container, load_image
from tests.sandbox_parts import made
from tests.waiting import wait_for

MIB = 1 << 20


def files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: content.read() for member in tar if (content := tar.extractfile(member))}


def test_a_container_never_queries_a_registry() -> None:
    made = container("main", hot_mib=3, wild=True, resources={})
    assert (made["image"], made["imagePullPolicy"]) == (IMAGE, "Never")
    assert "-hot=3" in made["args"]
    assert "-wild" in made["args"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the real load program, out of its image."""
    folder = tmp_path_factory.mktemp("load")
    archive = made(lambda: load_image(Host(install=False, say=print), str(folder)))
    path = folder / "load"
    path.write_bytes(
        files(gzip.decompress(files(pathlib.Path(archive).read_bytes())["layer-0.tar.gz"]))["load"]
    )
    path.chmod(0o755)
    return str(path)


@contextmanager
def started(program: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([program, *arguments]) as process:  # noqa: S603 - the program under test
        yield process
        process.kill()


def resident_mib(process: "subprocess.Popen[bytes]") -> Callable[[], float]:
    return lambda: int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096 / MIB


def test_the_load_touches_its_memory_and_counts_its_work(program: str, tmp_path: pathlib.Path) -> None:
    pace = tmp_path / "pace"

    def units() -> int:
        try:
            done, _ = COUNTER.unpack(pace.read_bytes()[: COUNTER.size])
        except FileNotFoundError:
            return 0
        return int(done)

    with started(program, "-hot=8", "-cold=8", f"-pace={pace}") as process:
        wait_for(lambda: resident_mib(process)() > 16, "hot and cold memory is touched")
        before = units()
        wait_for(lambda: units() > before, "another unit")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_the_load_runs_wild_on_a_signal(program: str) -> None:
    with started(program, "-hot=4") as process:
        wait_for(lambda: resident_mib(process)() > 4, "it works")
        process.send_signal(signal.SIGUSR1)
        wait_for(lambda: resident_mib(process)() > 40, "it takes more and more")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_the_load_runs_wild_by_its_option(program: str) -> None:
    with started(program, "-hot=4", "-wild") as process:
        wait_for(lambda: resident_mib(process)() > 40, "it takes more and more")


def test_the_load_without_work_waits_like_a_pods_sandbox(program: str) -> None:
    with started(program) as process:
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in {0, -signal.SIGTERM}  # the latter where it had hardly begun
