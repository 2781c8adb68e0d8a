"""The agent: one tick a second, at once when pressure starts, one thread, one event loop."""

import gc
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from overbook.agent.collector import Collector
from overbook.agent.guests import Guests
from overbook.agent.http_server import Answer, HttpServer
from overbook.agent.journal import Journal, Recorder
from overbook.agent.metrics import Metrics, TickFacts
from overbook.agent.pods import PodSource
from overbook.agent.reclaim import CgroupReclaimer, Reclaimer, ReportingReclaimer
from overbook.agent.relief import LocalRelief, Relief, ReliefReport, ReportingRelief
from overbook.agent.settings import Settings
from overbook.agent.swap_limits import CgroupSwapWriter, ReportingSwapWriter, SwapLimits
from overbook.core.decision import Decision
from overbook.core.engine import Engine
from overbook.core.model import node_model
from overbook.kernel.files import KernelFileError
from overbook.kernel.pressure_trigger import PressureTrigger

log = logging.getLogger(__name__)

TRIGGER_STALL_MICROS: Final = 100_000
TRIGGER_WINDOW_MICROS: Final = 1_000_000
"""Awake when something stalled on memory for 100 ms of a second: the kernel looks ten times a window."""
PRESSED_SECONDS: Final = 0.5
"""The longest time to the next tick after one that pressure caused."""
RELIEF_SECONDS: Final = 1.0
"""The longest time to the next tick while a guest is on its way out."""
HEALTHY_TICKS: Final = 5
"""Intervals without a good tick after which ``/healthz`` says no."""


class Ports(msgspec.Struct, frozen=True):
    """Everything through which the agent changes the node."""

    limits: SwapLimits
    reclaimer: Reclaimer
    relief: Relief


def ports(settings: Settings, collector: Collector) -> Ports:
    """The ports that the mode asks for: the agent before them is the same."""
    if settings.mode == "Observe":
        return Ports(SwapLimits(collector, ReportingSwapWriter()), ReportingReclaimer(), ReportingRelief())
    return Ports(
        SwapLimits(collector, CgroupSwapWriter()),
        CgroupReclaimer(collector),
        LocalRelief(collector, settings.fsroot),
    )


class Agent:
    """Samples, decides and acts.

    Args:
        settings: everything that can be set.
        source: where pods come from.
        clock: seconds, monotonic.
        wall_clock: seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        source: PodSource,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._wall_clock = wall_clock
        self.collector = Collector(settings.fsroot)
        self.guests = Guests(source, settings.swap)
        own = frozenset({settings.own_pod_uid} - {""})
        self.engine = Engine(settings.ruleset, settings.reclaim, own)
        self.journal = Journal()
        self.metrics = Metrics()
        self._ports = ports(settings, self.collector)
        self._recorder = Recorder(settings.record, settings.record_limit_bytes) if settings.record else None
        self._last_good_tick: float | None = None
        self._last_complaint = ""

    def tick(self) -> Decision | None:
        """One round: sample, facts, limits, decision, consequences."""
        started = self._clock()
        wall = self._wall_clock()
        self.metrics.ticks += 1
        try:
            decision = self._tick(started, wall)
        except (KernelFileError, OSError) as error:
            self.metrics.failed_ticks += 1
            if str(error) != self._last_complaint:
                self._last_complaint = str(error)
                log.error("this tick failed, the next is tried: %s", error)  # noqa: TRY400 - no traceback at 3 a.m.
            return None
        finished = self._clock()
        self._last_complaint = ""
        self._last_good_tick = finished
        self.metrics.tick_seconds += finished - started
        self.metrics.last_tick_wall_seconds = wall
        return decision

    def _tick(self, now: float, wall: float) -> Decision | None:
        sample = self.collector.collect(now, wall, self.guests.source.pods)
        node = sample.node
        if self.guests.refresh(node.memory_total_bytes, node.swap_total_bytes or 0) and self._recorder:
            self._recorder.pods(self.guests.facts)
        if self._recorder:
            self._recorder.sample(sample)
        self._ports.limits.keep(sample, self.guests.facts, self.guests.allowances)
        report = self._ports.relief.tick(now)
        if report is not None:
            self._relieved(report, wall)
        decision = self.engine.step(sample, self.guests.facts, self._ports.relief.state)
        if self.engine.history.forgotten:
            log.info("averages start anew: %s", self.engine.history.forgotten)
        if decision is not None:
            self._decided(decision, now)
        self.metrics.latest = TickFacts(
            node=node_model(node),
            sample=sample,
            facts=self.guests.facts,
            allowances=self.guests.allowances,
            relief_active=self._ports.relief.state == "active",
        )
        return decision

    def _decided(self, decision: Decision, now: float) -> None:
        self.metrics.decided(decision)
        self.journal.decisions.append(decision)
        observing = " (observing: nothing is done)" if self._settings.mode == "Observe" else ""
        level = logging.WARNING if decision.action == "relieve" else logging.INFO
        log.log(level, "decision %d: %s%s", decision.number, decision.sentence, observing)
        for candidate in decision.candidates:
            log.debug("candidate %s: %s %s", candidate.label, candidate.sentence, candidate.excluded)
        if self._recorder:
            self._recorder.decision(decision)
        if decision.action == "reclaim":
            self.metrics.reclaimed_bytes += self._ports.reclaimer.reclaim(decision.reclaim)
        elif decision.victim is not None:
            asked = self.guests.facts[decision.victim.uid].grace_seconds
            self._ports.relief.begin(decision, min(asked, self._settings.grace_seconds), now)

    def _relieved(self, report: ReliefReport, wall: float) -> None:
        self.metrics.relief[report.outcome] += 1
        self.journal.reports.append(report)
        log.warning("%s: %s after %.1f s", report.label, report.outcome, report.seconds)
        if self._recorder:
            self._recorder.relief(report, wall)

    @property
    def relieving(self) -> bool:
        """Whether a guest is on its way out."""
        return self._ports.relief.state == "active"

    def healthy(self) -> bool:
        """Whether a tick succeeded lately."""
        last = self._last_good_tick
        return (
            last is not None and self._clock() - last <= HEALTHY_TICKS * self._settings.interval_seconds + 5
        )

    def stop(self) -> None:
        """Leave the node as configured."""
        if self._settings.on_exit == "Restore":
            log.info("%d swap limits put back as they were found", self._ports.limits.restore())
        else:
            log.info("swap limits stay as they are")
        if self._recorder:
            self._recorder.close()
        self.collector.close()

    def values(self) -> Mapping[str, float]:
        """Further single values for the metrics."""
        return {
            "swap_limits_written_total": self._ports.limits.written,
            "swap_limits_corrected_total": self._ports.limits.corrected,
            "unreadable_files_total": self.collector.unreadable,
            "containers": sum(map(len, self.collector.containers.values())),
            "pods_known": len(self.guests.facts),
        }


class Loop:
    """Drives an agent until SIGTERM or SIGINT.

    Args:
        agent: what is driven.
        settings: interval, listening address, root.
    """

    def __init__(self, agent: Agent, settings: Settings) -> None:
        self._agent = agent
        self._settings = settings
        self._epoll = select.epoll()
        self._stopping = False
        self._trigger = self._watch_pressure()
        self._server = HttpServer(settings.listen, self._handlers(), self._epoll) if settings.listen else None

    def run(self) -> None:
        """Tick until told to stop; then leave the node as configured."""
        read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._epoll.register(read_end, select.EPOLLIN)
        # What was made so far lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        next_tick = self._agent_clock()
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
            if self._server is not None:
                self._server.close()
            self._epoll.close()

    def _round(self, next_tick: float, wakeup_fd: int) -> float:
        now = self._agent_clock()
        pressed = False
        for fd, _ in self._epoll.poll(max(0.0, next_tick - now), 64):
            if fd == wakeup_fd:
                os.read(fd, 64)
            elif self._trigger is not None and fd == self._trigger.fileno():
                pressed = True
            elif self._server is not None and self._server.owns(fd):
                self._server.handle(fd, self._agent_clock())
        now = self._agent_clock()
        if self._server is not None:
            self._server.expire(now)
        if self._stopping or (now < next_tick and not pressed):
            return next_tick
        self._agent.tick()
        # A late tick is not made up for: what matters is now.
        return (now if pressed else max(next_tick, now)) + self._pause(pressed=pressed)

    def _pause(self, *, pressed: bool) -> float:
        interval = self._settings.interval_seconds
        if pressed:
            return min(PRESSED_SECONDS, interval)
        # A grace period ends when it ends, however seldom samples are taken.
        return min(RELIEF_SECONDS, interval) if self._agent.relieving else interval

    def _agent_clock(self) -> float:
        return time.monotonic()

    def _stop(self, number: int, _frame: object) -> None:
        log.info("%s: stopping", signal.Signals(number).name)
        self._stopping = True

    def _watch_pressure(self) -> PressureTrigger | None:
        path = os.path.join(self._settings.fsroot, "proc/pressure/memory")
        for window in (TRIGGER_WINDOW_MICROS, 2 * TRIGGER_WINDOW_MICROS):
            # Without CAP_SYS_RESOURCE the kernel takes only multiples of 2 s.
            try:
                if os.path.exists(path) and os.stat(path).st_size:  # the kernel's own have no size
                    complaint = f"{path} is not the kernel's"
                    break
                trigger = PressureTrigger(path, "some", TRIGGER_STALL_MICROS, window)
            except (KernelFileError, OSError) as error:
                complaint = str(error)
                continue
            self._epoll.register(trigger, select.EPOLLPRI)
            return trigger
        log.warning("the agent wakes by the clock only: %s", complaint)
        return None

    def _handlers(self) -> Mapping[str, Callable[[], Answer]]:
        return {
            "/metrics": lambda: (
                200,
                "text/plain; version=0.0.4",
                self._agent.metrics.render(self._agent.values()),
            ),
            "/healthz": lambda: self._yes_or_no(self._agent.healthy(), "ok", "no tick succeeded lately"),
            "/readyz": lambda: self._yes_or_no(self._agent.metrics.latest is not None, "ok", "no tick yet"),
            "/decisions": lambda: (200, "application/json", self._agent.journal.as_json()),
        }

    @staticmethod
    def _yes_or_no(answer: bool, yes: str, no: str) -> Answer:
        body = (yes if answer else no).encode() + b"\n"
        return (200 if answer else 503, "text/plain; charset=utf-8", body)
