import pathlib
import socket
import threading

import pytest

from overbook_sandbox.machine.errors import NodeError
from overbook_sandbox.machine.image import Image, prepare
from overbook_sandbox.machine.job import Job
from overbook_sandbox.machine.node import Machine, run_in_node
from overbook_sandbox.machine.spec import HOST_ADDRESS, MEBIBYTE, MachineSpec
from tests.sandbox_parts import made


@pytest.fixture(scope="module")
def image() -> Image:
    return made(prepare)


def test_output_exit_status_and_shared_files_come_back(tmp_path: pathlib.Path, image: Image) -> None:
    lines: list[str] = []
    script = 'echo "$GREETING"; echo error >&2; pwd; echo kept >kept; printf unfinished; exit 3'
    result = run_in_node(
        MachineSpec(memory_bytes=256 * MEBIBYTE, swap_bytes=0),
        ["sh", "-c", script],
        share=str(tmp_path),
        environment={"GREETING": "it's a node"},
        on_line=lines.append,
        image=image,
    )
    assert lines == ["it's a node", "error", str(tmp_path), "unfinished"]
    assert result.exit_status == 3
    assert (tmp_path / "kept").read_text() == "kept\n"


def test_a_job_gets_lines_and_reaches_the_host(tmp_path: pathlib.Path, image: Image) -> None:
    heard: list[bytes] = []

    def listen(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            heard.append(connection.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(120)
        listener = threading.Thread(target=listen, args=(server,))
        listener.start()
        script = 'read -r word; echo "got $word"; echo hello | busybox nc "$1" "$2"'
        job = Job(
            argv=("sh", "-c", script, "sh", HOST_ADDRESS, str(server.getsockname()[1])),
            share=str(tmp_path),
            environment={},
            directory="/",
            takes_input=True,
        )
        node = Machine(image, MachineSpec(memory_bytes=256 * MEBIBYTE, swap_bytes=0, network=True), job)
        with pytest.raises(NodeError, match="takes no input"):
            node.send("too early")
        lines: list[str] = []
        result = node.run(lines.append, lambda _seconds: node.send("a line"))
        listener.join()
    assert lines == ["got a line"]
    assert heard == [b"hello\n"]
    assert result.exit_status == 0
    with pytest.raises(NodeError, match="takes no input"):
        node.send("too late")
