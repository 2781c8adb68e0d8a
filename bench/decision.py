"""The number of ticks from the one in which a condition holds until the agent acts."""

import time
from collections.abc import Iterator

from bench.agent_tick import make_agent
from bench.fake_node import fake_node
from bench.figure import Benchmark, Figure
from overbook.kernel.own_process import raise_descriptor_limit

COMMAND = "python -m bench decision"


def run(quick: bool) -> Iterator[Figure]:
    raise_descriptor_limit()
    with fake_node(50 if quick else 250) as node:
        agent = make_agent(node)
        for _ in range(10):
            assert agent.tick() is None
        node.starve()
        started = time.process_time()
        late = 0
        while (decision := agent.tick()) is None:
            late += 1
        used = time.process_time() - started
        # The fake pod has no process, so the next tick finds that the pod has ended.
        assert decision.action == "relieve"
        agent.tick()
        assert [report.outcome for report in agent.journal.reports] == ["ended"]
        agent.stop()
    yield Figure(
        name="ticks between the condition and the action",
        value=late,
        unit="ticks",
        at_most=0,
        command=COMMAND,
        note="swap occupancy; a rule with a window fires as soon as its average is high enough",
    )
    yield Figure(
        name="CPU of the tick that decided and acted",
        value=round(used * 1e3, 1),
        unit="ms",
        command=COMMAND,
        note="one cold run. From the start of pressure to the wake-up: tests/emulated, on a real kernel",
    )


BENCHMARK = Benchmark("decision", "From a condition to the action", run)
