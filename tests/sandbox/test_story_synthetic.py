"""The synthetic events of these functions look like a node's, for the tests of the demo's views."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from overbook_sandbox.demo.story import Story, read_event

MEBIBYTE = 1 << 20
RAM, SWAP = 1001, 512
PODS = {  # QoS class, whether a VM, request, guest, all MiB
    "vm-a": ("Burstable", True, 240, 320),
    "vm-b": ("Burstable", True, 240, 320),
    "vm-c": ("Burstable", True, 200, 260),
    "vm-paid": ("Guaranteed", True, 160, 160),
    "web": ("Burstable", False, 40, None),
    "batch": ("BestEffort", False, None, None),
}
TOUCHED = {"vm-a": 320, "vm-b": 320, "vm-c": 260, "vm-paid": 160, "web": 45, "batch": 38}
PHASES = {"alone": 0.0, "fill": 12.0, "steady": 40.0, "wild": 62.0, "after": 92.0}
END = 112.0
Line = dict[str, Any]


def good_run(seed: int = 1) -> list[Line]:
    """Return a run in which Overbook lets only the VMs swap, and kills vm-c 7 s after it ran wild."""
    node = _Node(overbook=True, seed=seed)
    for at in node.times():
        wild, gone = at - 62.0, at >= 69.4
        swapped = min(1.0, max(0.0, (at - 18) / 14)) * (150 if gone else 260)
        grown = min(wild, 7.4) * 46 if wild > 0 else 0.0
        traffic = 900 * (20 < at < 36) + (wild > 0) * (not gone) * min(9000.0, 1600 * wild)
        node.sample(
            at,
            swap={"vm-a": swapped * 0.38, "vm-b": swapped * 0.36, "vm-c": swapped * 0.26 + grown * 0.8},
            extra={"vm-c": grown},
            traffic=traffic + 40,
            stall=(wild > 1 and at < 71) * min(34.0, 5 * wild) + 0.9 * (20 < at < 36),
            pace=41.0 * (0.86 if 1 < wild < 8 else 1.0),
            gap=0.5 if 1 < wild < 8 else 0.05,
            gone={"vm-c"} if gone else set(),
        )
    node.decision(24.0, "reclaim", "memory stalls 4 % over 5 s: swapping out 96 MiB of demo/vm-a")
    node.decision(
        64.2,
        "reclaim",
        "memory stalls 12 % over 3 s and swap has room: swapping out 64 MiB of demo/vm-a, demo/vm-b "
        "(the coldest of those that may swap)",
    )
    node.decision(
        68.3,
        "relieve",
        "swap traffic above 1000 pages/s both ways for 5 s: demo/vm-c has to leave the node (Burstable, "
        "352 MiB over its request of 200 MiB, 71 % of the refaults and 96 % of the growth in the window); "
        "the others stay within what they had",
        victim="demo/vm-c",
    )
    node.add(69.4, "gone", pod="vm-c", how="killed by overbook")
    return node.lines()


def bare_run(seed: int = 2) -> list[Line]:
    """Return a run without Overbook: all pods swap, the node is silent for 20 s, the kernel kills twice."""
    node = _Node(overbook=False, seed=seed)
    gone: set[str] = set()
    for at in node.times():
        wild = at - 62.0
        if 68.0 < at < 88.2:
            continue
        gone = ({"vm-a"} if at >= 90.1 else set()) | ({"vm-c"} if at >= 93.5 else set())
        swapped = min(1.0, max(0.0, (at - 17) / 12)) * (120 if "vm-c" in gone else 270)
        grown = min(wild, 16.0) * 15 if wild > 0 else 0.0
        shares = {"vm-a": 0.24, "vm-b": 0.24, "vm-c": 0.18, "vm-paid": 0.16, "web": 0.1, "batch": 0.08}
        thrash = 0 < wild < 31.5
        node.sample(
            at,
            swap={name: swapped * share for name, share in shares.items()} | {"vm-c": swapped * 0.18 + grown},
            extra={"vm-c": grown * 1.6},
            traffic=2600 * (18 < at < 62) + thrash * min(14000.0, 2500 * max(wild, 0)) + 30,
            stall=thrash * min(88.0, 12 * max(wild, 0)) + 9 * (18 < at < 62),
            pace=41.0 * (0.02 if thrash and wild > 3 else 0.71 if 18 < at < 62 else 0.97),
            gap=(wild - 3 if thrash and wild > 3 else 0.2),
            gone=gone,
        )
    node.add(90.1, "gone", pod="vm-a", how="killed by the kernel (OOM)")
    node.add(93.5, "gone", pod="vm-c", how="killed by the kernel (OOM)")
    return node.lines()


def wrong_pod_run() -> list[Line]:
    """Return the good run, but with web killed in vm-c's place."""
    return [line | {"pod": "web"} if line["event"] == "gone" else line for line in good_run()]


def crashed_run(at: float = 70.0) -> list[Line]:
    """Return a run in which the node reports nothing any more from a moment on."""
    return [line for line in good_run() if line["at"] < at]


def without_pace(lines: list[Line]) -> list[Line]:
    return [
        {key: value for key, value in line.items() if key not in {"pace", "gapSeconds"}} for line in lines
    ]


def told(lines: list[Line]) -> Story:
    story = Story(overbook=bool(lines[0]["overbook"]))
    for line in lines:
        event = read_event(msgspec.json.encode(line).decode())
        assert event is not None
        story.add(event)
    return story


def jsonl(lines: list[Line]) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


class _Node:
    def __init__(self, *, overbook: bool, seed: int) -> None:
        self._random = random.Random(seed)
        self._lines: list[Line] = []
        self._overbook = overbook
        pods = [
            {
                "name": name,
                "qosClass": qos,
                "virtualMachine": machine,
                "requestBytes": request and request * MEBIBYTE,
                "guestBytes": guest and guest * MEBIBYTE,
            }
            for name, (qos, machine, request, guest) in PODS.items()
        ]
        size = {"memoryBytes": RAM * MEBIBYTE, "swapBytes": SWAP * MEBIBYTE}
        self.add(0.0, "hello", overbook=overbook, node=size, pods=pods)
        for name, at in PHASES.items():
            self.add(at, "phase", name=name)
        self.add(END, "bye")

    def times(self) -> Iterator[float]:
        at = 0.7
        while at < END:
            yield round(at, 2)
            at += self._random.uniform(0.5, 0.8)

    def add(self, at: float, event: str, **fields: Any) -> None:
        self._lines.append({"event": event, "at": at, **fields})

    def decision(self, at: float, action: str, sentence: str, victim: str | None = None) -> None:
        self.add(
            at,
            "decision",
            action=action,
            sentence=sentence,
            victim=victim,
            rule=sentence.split(":", maxsplit=1)[0],
        )

    def sample(
        self,
        at: float,
        *,
        swap: dict[str, float],
        extra: dict[str, float],
        traffic: float,
        stall: float,
        pace: float,
        gap: float,
        gone: set[str],
    ) -> None:
        noise = self._random.gauss
        pods = {}
        for name, full in TOUCHED.items():
            filled = 1.0 if name == "vm-paid" else min(1.0, max(0.0, (at - 12) / 20))
            swapped = 0.0 if name in gone else swap.get(name, 0.0) * filled
            touched = 0.0 if name in gone else full * filled + extra.get(name, 0.0)
            pods[name] = {
                "memoryBytes": round(max(0.0, touched - swapped) * MEBIBYTE),
                "swapBytes": round(swapped * MEBIBYTE),
                "swapMaxBytes": self._swap_max(name),
                "alive": name not in gone and (name == "vm-paid" or at >= 12),
            }
        used = sum(pod["memoryBytes"] or 0 for pod in pods.values())
        self.add(
            at,
            "sample",
            memoryAvailableBytes=round(max(18.0 * MEBIBYTE, (RAM - 80) * MEBIBYTE - used)),
            swapUsedBytes=sum(pod["swapBytes"] or 0 for pod in pods.values()),
            swapInPagesPerSecond=max(0.0, traffic * noise(0.9, 0.25)),
            swapOutPagesPerSecond=max(0.0, traffic * noise(1.0, 0.25)),
            stallFullPercent=max(0.0, stall * noise(1.0, 0.15)),
            pods=pods,
            pace=max(0.0, pace * noise(1.0, 0.03)),
            gapSeconds=gap,
        )

    def _swap_max(self, name: str) -> int | None:
        if not self._overbook:
            return None
        return 160 * MEBIBYTE if name in {"vm-a", "vm-b", "vm-c"} else 0

    def lines(self) -> list[Line]:
        return sorted(self._lines, key=lambda line: float(line["at"]))


@pytest.mark.parametrize("run", [good_run, bare_run, wrong_pod_run, crashed_run])
def test_a_synthetic_story_holds_all_its_events_in_order(
    run: Callable[[], list[Line]],
) -> None:
    story = told(run())
    times = [sample.at for sample in story.samples]
    assert times == sorted(times)
    assert len(times) > 80
    assert story.pod_names == tuple(PODS)
