"""Running a coroutine beside code that is no coroutine: in a thread with an event loop of its own."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Final, Self

from overbook_sandbox.machine.errors import SandboxError

READY_SECONDS: Final = 300.0


class Background:
    """A coroutine in a thread.

    Args:
        run: Makes it. It is given what to call once it works, and runs until it is cancelled.
        name: The thread's.
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
        """Start it, and wait until it works.

        Raises:
            SandboxError: It ended, or did not work within five minutes.
        """
        self._thread.start()
        if not self._ready.wait(READY_SECONDS):
            self.stop()
            raise SandboxError(f"{self._thread.name} was not ready after {READY_SECONDS:.0f} s")
        self.require_running()

    def require_running(self) -> None:
        """Raise a SandboxError if it has ended by itself; its own, if it was one."""
        if isinstance(self._error, SandboxError):
            raise self._error
        if self._error is not None:
            raise SandboxError(f"{self._thread.name} ended: {self._error!r}") from self._error

    def stop(self) -> None:
        """Cancel it and wait for its end; what it failed of before is raised."""
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
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits for us
            self._error = error
        finally:
            self._ready.set()

    async def _supervised(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        await self._run(self._ready.set)
