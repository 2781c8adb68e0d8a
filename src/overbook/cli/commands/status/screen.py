"""The output of a live view: with rich on a terminal, plainly without rich, as blocks of text elsewhere."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.live import Live

_CLEAR = "\x1b[H\x1b[2J"
_CUT_LINES, _WRAP_LINES = "\x1b[?7l", "\x1b[?7h"
_DUMB_SIZE = (120, 40)


class Screen(Protocol):
    """An output that shows one picture after the other."""

    def size(self) -> tuple[int, int] | None:
        """The columns and lines of the screen; ``None`` if it is unlimited."""
        ...

    def show(self, lines: Sequence[str]) -> None:
        """Show the next picture."""
        ...


class _Rich:
    """A terminal with rich: without flicker, and with its old content afterwards."""

    def __init__(self, live: "Live") -> None:
        self._live = live

    def size(self) -> tuple[int, int] | None:
        return self._live.console.size

    def show(self, lines: Sequence[str]) -> None:
        from rich.text import Text

        text = Text("\n").join(Text.from_ansi(line, no_wrap=True, overflow="ellipsis") for line in lines)
        self._live.update(text, refresh=True)


class _Plain:
    """A terminal without rich."""

    def size(self) -> tuple[int, int] | None:
        try:
            return os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            return _DUMB_SIZE

    def show(self, lines: Sequence[str]) -> None:
        print(_CLEAR + _CUT_LINES + "\n".join(lines) + _WRAP_LINES, end="", flush=True)


class _Blocks:
    """A file or a pipe: one block of text after the other."""

    def size(self) -> tuple[int, int] | None:
        return None

    def show(self, lines: Sequence[str]) -> None:
        print("\n".join(lines), end="\n\n", flush=True)


@contextmanager
def screen() -> Iterator[Screen]:
    """The screen for standard output; afterwards a terminal has its old content."""
    if not sys.stdout.isatty():
        yield _Blocks()
        return
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        yield _Plain()
        print()
        return
    with Live(console=Console(), screen=True, auto_refresh=False) as live:
        yield _Rich(live)


@contextmanager
def keys(pressed: Callable[[str], None]) -> Iterator[None]:
    """Call a function for each pressed key, if standard input is a terminal.

    Args:
        pressed: called in the running event loop.
    """
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(OSError):
            pressed(os.read(descriptor, 1).decode("latin-1"))

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
