import asyncio
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from overbook.kube.api.client import Client
from overbook.kube.api.configuration import ClusterConfig, ExecPlugin
from overbook.kube.api.credentials import PluginCredentials, TokenFile
from overbook.kube.api.errors import AccessError, ApiError
from overbook.kube.api.exec_plugin import run_plugin
from overbook.kube.api.kinds import NODES
from tests.kube.api.scripted_server import Served, answer, serving

V1 = "client.authentication.k8s.io/v1"
NODE = b'{"metadata":{"name":"a"}}'


def plugin(folder: Path, script: str, **fields: Any) -> ClusterConfig:
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\necho run >> {folder}/runs\n{script}\n")
    path.chmod(0o755)
    given = {"command": str(path), "interactive_mode": "Never", **fields}
    return ClusterConfig(
        server="https://10.0.0.1", source="config, context c", exec_plugin=ExecPlugin(**given)
    )


def printing(status: dict[str, Any], **fields: Any) -> str:
    printed = {"kind": "ExecCredential", "apiVersion": V1, "status": status, **fields}
    return f"cat <<'END'\n{json.dumps(printed)}\nEND"


def runs(folder: Path) -> int:
    path = folder / "runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_plugin_runs_again_when_its_answer_expires(tmp_path: Path) -> None:
    async def story() -> None:
        now = 1_000_000_000.0
        config = plugin(
            tmp_path, printing({"token": "t", "expirationTimestamp": "2001-09-09T02:46:40Z"})
        )  # an hour later
        credentials = PluginCredentials(config, lambda: now)
        assert (await credentials.current()).token == "t"
        assert repr(await credentials.current()) == "Identity(…)"
        await asyncio.gather(*(credentials.current() for _ in range(5)))
        assert runs(tmp_path) == 1
        now += 3580
        await asyncio.gather(*(credentials.current() for _ in range(5)))
        assert runs(tmp_path) == 6  # each answer has expired already

    asyncio.run(story())


def test_a_refused_token_is_requested_once_more(tmp_path: Path) -> None:
    async def refusing(served: Served, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await served.asked(reader)
            good = "Authorization: Bearer token-2\r\n" in head
            writer.write(answer(NODE) if good else answer(b"{}", 401))

    async def story() -> None:
        given = {"kind": "ExecCredential", "apiVersion": V1, "status": {"token": "token-NUMBER"}}
        printed = json.dumps(json.dumps(given)).replace("NUMBER", "$(wc -l < runs)")
        script = f"cd {tmp_path}; echo {printed}"
        config = plugin(tmp_path, script)
        async with serving(refusing) as served:
            client = Client(ClusterConfig(server=served.server, exec_plugin=config.exec_plugin))
            await asyncio.gather(*(client.get(NODES, "a") for _ in range(3)))
            assert runs(tmp_path) == 2
            await client.close()
            fixed = Client(ClusterConfig(server=served.server, token="wrong"))
            before = len(served.heads)
            with pytest.raises(ApiError, match="401"):
                await fixed.get(NODES, "a")
            assert len(served.heads) == before + 1
            await fixed.close()

    asyncio.run(story())


def test_a_plugin_gets_its_arguments_and_exec_info(tmp_path: Path) -> None:
    script = f'echo "$KUBERNETES_EXEC_INFO" > {tmp_path}/told; echo "$@ $A" > {tmp_path}/arguments\n'
    config = plugin(
        tmp_path,
        script + printing({"token": "t"}),
        args=("--cluster", "a b; rm -rf /"),
        env=(("A", "b"),),
        provide_cluster_info=True,
    )
    assert asyncio.run(run_plugin(config)).token == "t"
    told = json.loads((tmp_path / "told").read_text())
    assert told["apiVersion"] == V1
    assert told["spec"]["interactive"] is False
    assert told["spec"]["cluster"]["server"] == "https://10.0.0.1"
    assert (tmp_path / "arguments").read_text() == "--cluster a b; rm -rf / b\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'please log in' >&2; exit 3", "failed with status 3: please log in"),
        (f"echo 'no: {'x' * 60}' >&2; exit 1", "failed with status 1: no: …$"),
        ("echo secret", "printed no ExecCredential"),
        ("true", "printed no ExecCredential"),
        (printing({"token": 5}), "another type"),
        (printing({"token": "t"}, kind="Other"), "printed Other"),
        (printing({"token": "t"}, apiVersion="v9"), "printed ExecCredential v9; expected"),
        (printing({}), "neither a token nor a client certificate"),
        (printing({"clientCertificateData": "x"}), "without the other"),
        ("head -c 3000000 /dev/zero", "printed more than 1 MiB"),
        ("yes", "printed more than 1 MiB"),
        ("exec sleep 60", "did not finish within 1 s"),
        ("sleep 60 & sleep 60", "did not finish within 1 s"),
    ],
)
def test_a_failing_plugin_is_named(tmp_path: Path, script: str, said: str) -> None:
    began = time.monotonic()
    with pytest.raises(AccessError, match=said) as caught:
        asyncio.run(run_plugin(plugin(tmp_path, script), 1.0))
    assert str(caught.value).startswith(f"config, context c: credential plugin {tmp_path}/plugin ")
    assert time.monotonic() - began < 30


def test_a_plugin_that_is_missing_or_needs_a_person(tmp_path: Path) -> None:
    missing = ExecPlugin("no-such-program", install_hint="install it from the shelf")
    config = ClusterConfig(server="https://a", exec_plugin=missing)
    with pytest.raises(
        AccessError, match="cannot be run: No such file or directory; install it from the shelf"
    ):
        asyncio.run(run_plugin(config))
    asking = plugin(tmp_path, printing({"token": "t"}), interactive_mode="Always")
    with pytest.raises(AccessError, match="needs a terminal"):
        asyncio.run(run_plugin(asking))


def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "token"
        credentials = TokenFile(str(path))
        with pytest.raises(AccessError, match=f"{path}: no token could be read"):
            await credentials.current()
        path.write_text("")
        with pytest.raises(AccessError, match="is empty"):
            await credentials.current()
        path.write_text("one\n")
        assert (await credentials.current()).token == "one"
        replace(path, "two")
        assert (await credentials.current()).token == "two"
        path.unlink()  # the kubelet replaces files; for a moment there may be none
        assert (await credentials.current()).token == "two"

    asyncio.run(story())


def test_a_refused_token_is_read_again_from_an_unchanged_file(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "token"
        path.write_text("one")
        credentials = TokenFile(str(path))
        identity = await credentials.current()
        assert not credentials.refused(identity)
        before = path.stat()
        with path.open("r+") as file:
            file.write("two")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert credentials.refused(identity)
        assert (await credentials.current()).token == "two"

    asyncio.run(story())


def replace(path: Path, text: str) -> None:
    newer = path.with_suffix(".new")
    newer.write_text(text)
    newer.chmod(stat.S_IRUSR)
    newer.replace(path)
