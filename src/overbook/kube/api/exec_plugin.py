"""Credential plugins: a program prints an ExecCredential. No shell, bounded output, bounded time.

Source: KEP-541 and ``k8s.io/client-go/pkg/apis/clientauthentication``.
"""

import asyncio
import base64
import contextlib
import datetime as dt
import os
import re
import signal
import sys
from typing import Any, Final

import msgspec

from overbook.kube.api.configuration import ClusterConfig, ExecPlugin, read_small_file
from overbook.kube.api.errors import AccessError

MOST_SECONDS: Final = 60.0
MOST_INTERACTIVE_SECONDS: Final = 300.0
"""Longer, because a person may need time for a second factor."""
MOST_OUTPUT_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 64 << 10
_MAY_BE_SECRET: Final = re.compile(r"\S{40,}")


class Given(msgspec.Struct, frozen=True, gc=False):
    """The credentials from a plugin: a token, a client certificate with its key, or both.

    Attributes:
        token: bearer token.
        certificate: PEM.
        key: PEM.
        expires: seconds since 1970; ``None``: valid until the API server refuses the credentials.
    """

    token: str = ""
    certificate: str = ""
    key: str = ""
    expires: float | None = None

    def __repr__(self) -> str:
        return "Given(…)"


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: dt.datetime | None = None


class _ExecCredential(msgspec.Struct, frozen=True, rename="camel"):
    kind: str
    api_version: str
    status: _Status | None = None


async def run_plugin(config: ClusterConfig, timeout_seconds: float | None = None) -> Given:
    """Run a configuration's plugin.

    Args:
        config: the configuration with the plugin.
        timeout_seconds: default: one minute, or five if a person may be asked.

    Raises:
        AccessError: the plugin is missing, failed, took too long, or printed no credentials.
    """
    plugin = config.exec_plugin
    if plugin is None:
        raise AccessError(f"{config.source}: no credential plugin")
    where = f"{config.source}: credential plugin {plugin.command}"
    interactive = _may_ask(plugin, where)
    limit = timeout_seconds or (MOST_INTERACTIVE_SECONDS if interactive else MOST_SECONDS)
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command,
            *plugin.args,
            env={**os.environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": _question(config, interactive)},
            stdin=None if interactive else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=None if interactive else asyncio.subprocess.PIPE,
            start_new_session=not interactive,
        )
    except OSError as error:
        hint = f"; {plugin.install_hint}" if plugin.install_hint else ""
        raise AccessError(f"{where} cannot be run: {error.strerror}{hint}") from error
    last_line = asyncio.create_task(_last_error_line(process.stderr))
    try:
        async with asyncio.timeout(limit):
            printed = await _printed(process.stdout, where)
            status = await process.wait()
            error_text = await last_line
    except TimeoutError as error:
        raise AccessError(f"{where} did not finish within {limit:g} s") from error
    finally:
        last_line.cancel()
        await _end(process, group=not interactive)
    if status:
        raise AccessError(f"{where} failed with status {status}{error_text}")
    return _decoded(printed, plugin, where)


def _may_ask(plugin: ExecPlugin, where: str) -> bool:
    """Whether the plugin may use the terminal."""
    terminal = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
    if plugin.interactive_mode == "Always" and not terminal:
        raise AccessError(f"{where} needs a terminal, and there is none (interactiveMode Always)")
    return terminal and plugin.interactive_mode != "Never"


def _question(config: ClusterConfig, interactive: bool) -> str:
    plugin = config.exec_plugin or ExecPlugin("")
    spec: dict[str, Any] = {"interactive": interactive}
    if plugin.provide_cluster_info:
        ca = config.ca_data or (read_small_file(config.ca_file) if config.ca_file else "")
        spec["cluster"] = {
            "server": config.server,
            "tls-server-name": config.tls_server_name,
            "insecure-skip-tls-verify": config.insecure_skip_tls_verify,
            "certificate-authority-data": base64.b64encode(ca.encode()).decode(),
            "config": plugin.cluster_extension,
        }
    question = {"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec}
    return msgspec.json.encode(question).decode()


async def _printed(stream: asyncio.StreamReader | None, where: str) -> bytes:
    """The plugin's output, up to a limit."""
    kept = bytearray()
    while stream is not None and (piece := await stream.read(_PIECE_BYTES)):
        kept += piece
        if len(kept) > MOST_OUTPUT_BYTES:
            raise AccessError(f"{where} printed more than {MOST_OUTPUT_BYTES >> 20} MiB")
    return bytes(kept)


async def _last_error_line(stream: asyncio.StreamReader | None) -> str:
    """The last line of the plugin's standard error, without anything that might be a secret."""
    kept = b""
    while stream is not None and (piece := await stream.read(_PIECE_BYTES)):
        kept = (kept + piece)[-_PIECE_BYTES:]
    lines = [line.strip() for line in kept.decode("utf-8", "replace").splitlines() if line.strip()]
    return f": {_MAY_BE_SECRET.sub('…', lines[-1])[:200]}" if lines else ""


async def _end(process: asyncio.subprocess.Process, *, group: bool) -> None:
    """Kill a process that is still running, with its children if it has a session of its own."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
    transport = getattr(process, "_transport", None)
    if transport is not None:  # nothing else closes pipes that were not read to their end
        transport.close()
    await process.wait()


def _decoded(printed: bytes, plugin: ExecPlugin, where: str) -> Given:
    try:
        answer = msgspec.json.decode(printed, type=_ExecCredential)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        kind = "another type" if isinstance(error, msgspec.ValidationError) else "no JSON"
        raise AccessError(f"{where} printed no ExecCredential ({kind})") from None
    if answer.kind != "ExecCredential" or answer.api_version != plugin.api_version:
        raise AccessError(
            f"{where} printed {answer.kind[:40]} {answer.api_version[:60]}; "
            f"expected ExecCredential {plugin.api_version}"
        )
    status = answer.status or _Status()
    certificate, key = status.client_certificate_data or "", status.client_key_data or ""
    if bool(certificate) is not bool(key):
        raise AccessError(f"{where} gave a client certificate or a key without the other")
    if not status.token and not certificate:
        raise AccessError(f"{where} gave neither a token nor a client certificate")
    expires = status.expiration_timestamp
    return Given(status.token or "", certificate, key, None if expires is None else expires.timestamp())
