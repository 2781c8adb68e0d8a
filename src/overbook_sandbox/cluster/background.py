"""A coroutine for synchronous callers: it runs in a thread with its own event loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Final, Self

from overbook_sandbox.machine.errors import SandboxError

READY_SECONDS: Final = 300.0


class Background:
    """A coroutine in a thread.

    Args:
        run: Makes the coroutine, which calls its argument when it is ready and runs until it is cancelled.
        name: The name of the thread.
    """

    def __init__(self, run: Callable[[Callable[[], None]], Awaitable[None]], name: str) -> None:
        self._run = run
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the coroutine, and wait until it is ready.

        Raises:
            SandboxError: The coroutine ended, or was not ready within five minutes.
        """
        self._thread.start()
        if not self._ready.wait(READY_SECONDS):
            self.stop()
            raise SandboxError(f"{self._thread.name} was not ready after {READY_SECONDS:.0f} s")
        self.require_running()

    def require_running(self) -> None:
        """Raise a SandboxError if the coroutine has ended by itself; the original one, if it raised one."""
        if isinstance(self._error, SandboxError):
            raise self._error
        if self._error is not None:
            raise SandboxError(f"{self._thread.name} ended: {self._error!r}") from self._error

    def stop(self) -> None:
        """Cancel the coroutine and wait for its end; an earlier failure is raised."""
        loop, task = self._loop, self._task
        if loop is not None and task is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(task.cancel)
        self._thread.join()
        self.require_running()

    def _main(self) -> None:
        try:
            asyncio.run(self._supervised())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            self._error = error
        finally:
            self._ready.set()

    async def _supervised(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        await self._run(self._ready.set)
