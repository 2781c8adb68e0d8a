"""Runs a plan in lanes, each with one node at a time, and keeps every result in a file."""

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import BinaryIO, Final, TextIO

import msgspec

from overbook_sandbox.density.guards import BASELINE
from overbook_sandbox.density.plan import alone_for
from overbook_sandbox.density.result import Cell, Key, Setup, key, read_cells
from overbook_sandbox.density.table import cell_line
from overbook_sandbox.machine.errors import SandboxError

CELLS: Final = "cells.jsonl"
TRACES: Final = "traces"


class Results:
    """The cells of an output folder, and the file that has them.

    Args:
        folder: the folder; it is made if it is not there.
        keep: whether cells that it has are kept.
    """

    def __init__(self, folder: str, *, keep: bool) -> None:
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, CELLS)
        self.cells: dict[Key, Cell] = {}
        if keep and os.path.exists(path):
            with open(path, "rb") as file:
                self.cells.update(read_cells(file))
        self._file: BinaryIO = open(path, "ab" if keep else "wb")  # noqa: SIM115 - closed by `close`

    def add(self, cell: Cell) -> None:
        """Keep a result."""
        self.cells[key(cell)] = cell
        self._file.write(msgspec.json.encode(cell) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Progress:
    """Prints a line for each cell, and on a terminal a bar below.

    Args:
        stream: where to.
        total: the number of cells.
    """

    def __init__(self, stream: TextIO, total: int) -> None:
        self._stream = stream
        self._total = total
        self._done = 0
        self._live = stream.isatty()

    def show(self, setup: Setup, result: Cell | BaseException) -> None:
        """Show the end of a cell."""
        self._done += 1
        what = cell_line(result) if isinstance(result, Cell) else f"failed: {result}"
        run = f" run {setup.run + 1}" if setup.run else ""
        clear = "\r\033[K" if self._live else ""
        line = f"[{self._done}/{self._total}] {setup.load} · {setup.guard}{run}: {what}"
        print(f"{clear}{line}", file=self._stream, flush=True)
        if self._live and self._done < self._total:
            filled = 40 * self._done // self._total
            print(f"{'█' * filled}{'░' * (40 - filled)}", end="", file=self._stream, flush=True)


def run_all(
    setups: Sequence[Setup],
    run: Callable[[Setup, Cell | None], Cell],
    stop: Callable[[], None],
    results: Results,
    lanes: int | None,
    stream: TextIO = sys.stderr,
) -> int:
    """Run cells, those alone before all others, because they say what 100 % is.

    Args:
        setups: the cells; those that `results` has are left out.
        run: runs one.
        stop: ends all that run.
        results: receives the cells.
        lanes: how many run at a time; None: two, or one if their nodes have several CPUs.
        stream: for the progress.

    Returns:
        How many failed.
    """
    todo = [setup for setup in setups if key(setup) not in results.cells]
    progress = Progress(stream, len(todo))
    failed = 0
    for is_alone, one_cpu in product((True, False), (True, False)):
        part = [
            setup
            for setup in todo
            if is_alone == (setup.guard == BASELINE.name) and one_cpu == (setup.cpus == 1)
        ]
        count = lanes or (2 if one_cpu else 1)

        def run_one(setup: Setup) -> Cell:
            return run(setup, alone_for(setup, results.cells))

        with _threads(part, run_one, min(count, len(part)), stop) as ended:
            for _ in part:
                setup, result = ended.get()
                progress.show(setup, result)
                if isinstance(result, Cell):
                    results.add(result)
                elif isinstance(result, SandboxError):
                    failed += 1
                else:
                    raise result
    return failed


Ended = tuple[Setup, Cell | BaseException]


@contextmanager
def _threads(
    setups: Sequence[Setup], run: Callable[[Setup], Cell], count: int, stop: Callable[[], None]
) -> "Iterator[queue.SimpleQueue[Ended]]":
    """Threads that run cells; at the end of the block all have ended."""
    waiting: queue.SimpleQueue[Setup | None] = queue.SimpleQueue()
    ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()
    for item in (*setups, *[None] * count):
        waiting.put(item)
    stopping = threading.Event()

    def work() -> None:
        while (setup := waiting.get()) is not None and not stopping.is_set():
            try:
                ended.put((setup, run(setup)))
            except BaseException as error:  # noqa: BLE001 - the main thread reports any error
                ended.put((setup, error))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        yield ended
    finally:
        stopping.set()
        if any(thread.is_alive() for thread in threads):
            stop()
        for thread in threads:
            thread.join()
