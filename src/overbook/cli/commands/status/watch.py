"""``overbook status --watch``: the table of ``overbook status``, kept up to date by watches."""

import argparse
import asyncio
import contextlib
import logging
from typing import Final

from overbook.cli.commands.status.screen import Screen, keys, screen
from overbook.cli.commands.status.table import picture
from overbook.cli.output import harmless
from overbook.core.errors import InvalidInput
from overbook.status.live import LiveCluster
from overbook.status.read import connect

_ENDING_KEYS: Final = "qQ\x04"


def watch(arguments: argparse.Namespace, names: tuple[str, ...]) -> int:
    """Show the live view until q or Ctrl-C.

    Raises:
        InvalidInput: an option is not valid.
        KubeError: the API server does not answer at the start.
    """
    if arguments.output not in ("table", "wide"):
        raise InvalidInput("--output", arguments.output, "table or wide: --watch is for people")
    # The view shows lost connections as the age of its data, so the watches' log lines are dropped.
    logging.getLogger("overbook").addHandler(logging.NullHandler())
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(arguments, names))
    return 0


async def _watch(arguments: argparse.Namespace, names: tuple[str, ...]) -> None:
    closed = asyncio.Event()

    def pressed(key: str) -> None:
        if key in _ENDING_KEYS:
            closed.set()

    async with connect(arguments.kubeconfig, arguments.context) as client:
        live = LiveCluster(client, names, arguments.selector)
        with screen() as where, keys(pressed):
            where.show([f"reading {client.config.server} …"])
            showing = asyncio.create_task(_show(live, where, arguments))
            closing = asyncio.create_task(closed.wait())
            try:
                await asyncio.wait((showing, closing), return_when=asyncio.FIRST_COMPLETED)
                if showing.done():
                    showing.result()  # this task ends only by an error
            finally:
                showing.cancel()
                closing.cancel()
                await live.stop()


async def _show(live: LiveCluster, where: Screen, arguments: argparse.Namespace) -> None:
    await live.start()
    while True:
        lines = picture(live.report(), where.size(), wide=arguments.output == "wide")
        where.show([harmless(line) for line in lines])
        await asyncio.sleep(arguments.interval)
