import os
import pathlib

import pytest

from overbook.sandbox.errors import SandboxUnavailableError
from overbook.sandbox.image import Image, prepare
from overbook.sandbox.node import run_in_node
from overbook.sandbox.spec import MEBIBYTE, NodeSpec


@pytest.fixture(scope="module")
def image() -> Image:
    try:
        return prepare()
    except SandboxUnavailableError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


def test_output_exit_status_and_shared_files_come_back(tmp_path: pathlib.Path, image: Image) -> None:
    lines: list[str] = []
    script = 'echo "$GREETING"; echo error >&2; pwd; echo kept >kept; printf unfinished; exit 3'
    result = run_in_node(
        NodeSpec(memory_bytes=256 * MEBIBYTE, swap_bytes=0),
        ["sh", "-c", script],
        share=str(tmp_path),
        environment={"GREETING": "it's a node"},
        on_line=lines.append,
        image=image,
    )
    assert lines == ["it's a node", "error", str(tmp_path), "unfinished"]
    assert result.exit_status == 3
    assert (tmp_path / "kept").read_text() == "kept\n"
