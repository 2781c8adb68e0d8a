"""The agent's loop: a tick every second, and at once when pressure starts, in one thread with one epoll."""

import gc
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from itertools import product
from typing import Final

from overbook.agent.agent import Agent
from overbook.agent.no_cluster import NO_DESCRIPTOR
from overbook.agent.settings import AgentSettings
from overbook.kernel.files import KernelFileError
from overbook.kernel.pressure_trigger import PressureTrigger
from overbook.probes import answers
from overbook.probes.answers import Handler
from overbook.probes.server import ProbeServer

log = logging.getLogger(__name__)

PRESSURE_FILES: Final = ("proc/pressure/memory", "sys/fs/cgroup/memory.pressure")
"""Both are of the whole node. A trigger is set by writing, but a pod can only read its host's /proc."""
TRIGGER_STALL_MICROS: Final = 100_000
TRIGGER_WINDOW_MICROS: Final = 1_000_000
"""The agent wakes when a task stalled on memory for 100 ms of a second; the kernel checks every 100 ms."""
PRESSED_SECONDS: Final = 0.5
"""The longest time to the next tick after a tick that pressure caused."""
RELIEF_SECONDS: Final = 1.0
"""The longest time to the next tick while a relief is under way."""


class Loop:
    """Drives an agent until SIGTERM or SIGINT.

    Args:
        agent: the agent.
        settings: interval, listening address, root of the host's file system.
        clock: seconds, monotonic.
    """

    def __init__(
        self, agent: Agent, settings: AgentSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._agent = agent
        self._settings = settings
        self._clock = clock
        self._epoll = select.epoll()
        self._stopping = False
        self._trigger = self._watch_pressure()
        self._servers = self._probe_servers()
        agent.writers.attach(self._epoll)
        self._news_fd = agent.cluster.fileno()
        if self._news_fd != NO_DESCRIPTOR:
            self._epoll.register(self._news_fd, select.EPOLLIN)

    def run(self) -> None:
        """Tick until a signal stops the loop; then leave the node as configured."""
        read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._epoll.register(read_end, select.EPOLLIN)
        # The objects made so far live as long as the process: the garbage collector need not look at them.
        gc.collect()
        gc.freeze()
        next_tick = self._clock()
        try:
            while not self._stopping:
                next_tick = self._round(next_tick, read_end)
        finally:
            signal.set_wakeup_fd(before)
            os.close(read_end)
            os.close(write_end)
            self._agent.stop()
            if self._trigger is not None:
                self._trigger.close()
            for server in self._servers:
                server.close()
            self._epoll.close()

    def _round(self, next_tick: float, wakeup_fd: int) -> float:
        now = self._clock()
        pressed = False
        for fd, _ in self._epoll.poll(max(0.0, next_tick - now), 64):
            if fd == wakeup_fd:
                os.read(fd, 64)
            elif self._trigger is not None and fd == self._trigger.fileno():
                pressed = True
            elif fd == self._news_fd:
                self._agent.take_news()
            elif self._agent.writers.owns(fd):
                self._agent.writers.handle(self._clock())
            else:
                for server in self._servers:
                    if server.owns(fd):
                        server.handle(fd, self._clock())
        now = self._clock()
        for server in self._servers:
            server.expire(now)
        if self._stopping or (now < next_tick and not pressed):
            return next_tick
        self._agent.tick()
        # A late tick is not made up for.
        return (now if pressed else max(next_tick, now)) + self._pause(pressed=pressed)

    def _pause(self, *, pressed: bool) -> float:
        interval = self._settings.interval_seconds
        if pressed:
            return min(PRESSED_SECONDS, interval)
        # A grace period may end long before the next sample.
        return min(RELIEF_SECONDS, interval) if self._agent.relieving else interval

    def _stop(self, number: int, _frame: object) -> None:
        log.info("%s: stopping", signal.Signals(number).name)
        self._stopping = True

    def _watch_pressure(self) -> PressureTrigger | None:
        # Without CAP_SYS_RESOURCE the kernel takes only multiples of 2 s.
        windows = (TRIGGER_WINDOW_MICROS, 2 * TRIGGER_WINDOW_MICROS)
        complaints = []
        for name, window in product(PRESSURE_FILES, windows):
            try:
                trigger = _trigger(os.path.join(self._settings.fsroot, name), window)
            except (KernelFileError, OSError) as error:
                complaints.append(str(error))
                continue
            self._epoll.register(trigger, select.EPOLLPRI)
            return trigger
        log.warning("the agent ticks by the clock only, not when pressure starts: %s", complaints[0])
        return None

    def _probe_servers(self) -> list[ProbeServer]:
        """The server of metrics, decisions and health, and that of health alone, where they are wanted."""
        handlers, settings = self._handlers(), self._settings
        health = {path: handlers[path] for path in ("/healthz", "/readyz")}
        wanted = [
            (settings.listen, handlers, "listen address"),
            (settings.probe_listen, health, "probe listen address"),
        ]
        example = "host:port, such as 127.0.0.1:9713"
        return [
            ProbeServer(address, of, self._epoll, where, example) for address, of, where in wanted if address
        ]

    def _handlers(self) -> Mapping[str, Handler]:
        agent = self._agent
        return {
            "/metrics": lambda: answers.metrics(agent.metrics.render(agent.values())),
            "/healthz": lambda: answers.health(
                "" if agent.healthy() else "no tick succeeded lately", agent.health
            ),
            "/readyz": lambda: answers.health(agent.ready()),
            "/decisions": lambda: answers.json(agent.journal.as_json()),
        }


def _trigger(path: str, window_micros: int) -> PressureTrigger:
    if os.path.exists(path) and os.stat(path).st_size:  # the kernel's files have no size
        raise KernelFileError(path, "is not a file of the kernel")
    return PressureTrigger(path, "some", TRIGGER_STALL_MICROS, window_micros)
