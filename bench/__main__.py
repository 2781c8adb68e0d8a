"""``python -m bench [NAME…]``: each figure with its target and the command that measures it again."""

import argparse
import logging
import sys
import time
from typing import Final

import msgspec

from bench import (
    agent_memory,
    agent_on_api,
    agent_tick,
    attack,
    cluster_status,
    decision,
    density,
    explain_start,
    hook,
    imports,
    nri,
    outage,
    rules,
    scale,
    webhook,
)
from bench.figure import Benchmark, Figure

BENCHMARKS: Final[tuple[Benchmark, ...]] = (
    agent_tick.BENCHMARK,
    decision.BENCHMARK,
    explain_start.BENCHMARK,
    imports.BENCHMARK,
    rules.BENCHMARK,
    hook.BENCHMARK,
    agent_memory.BENCHMARK,
    agent_on_api.BENCHMARK,
    nri.BENCHMARK,
    webhook.BENCHMARK,
    cluster_status.BENCHMARK,
    outage.BENCHMARK,
    scale.BENCHMARK,
    density.BENCHMARK,
    attack.BENCHMARK,
    webhook.MILLION,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(names)} (default: all)")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: less exact")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(names))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    logging.disable(logging.CRITICAL)
    figures: list[Figure] = []
    started = time.monotonic()
    for benchmark in BENCHMARKS:
        if benchmark.name not in arguments.names and (arguments.names or benchmark.by_name_only):
            continue
        if arguments.output == "text":
            print(f"{benchmark.about}  [python -m bench {benchmark.name}]", flush=True)
        for figure in benchmark.run(arguments.quick):
            figures.append(figure)
            if arguments.output == "text":
                print(_line(figure), flush=True)
    if arguments.output == "json":
        shown = [
            {**msgspec.to_builtins(figure), "target": figure.target, "verdict": figure.verdict}
            for figure in figures
        ]
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(shown), indent=2) + b"\n")
    else:
        missed = sum(figure.verdict == "missed" for figure in figures)
        print(f"{len(figures)} figures in {time.monotonic() - started:.0f} s, {missed} missed")
    return 1 if any(figure.verdict == "missed" for figure in figures) else 0


def _line(figure: Figure) -> str:
    number = f"{figure.value:g} {figure.unit}"
    line = f"  {figure.name:<58} {number:>14}  {figure.target:<14} {figure.verdict}"
    return f"{line}\n      {figure.note}" if figure.note else line


sys.exit(main())
