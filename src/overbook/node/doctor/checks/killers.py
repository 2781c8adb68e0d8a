"""The check of other programs that kill when memory is short, and whether they do so before a rule fires."""

from collections.abc import Iterator
from typing import Final

from overbook.core.pressure.detectors.memory_pressure import MemoryPressure
from overbook.core.pressure.detectors.swap_occupancy import SwapOccupancy
from overbook.core.text import shown
from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState
from overbook.node.drop_in import drop_in_command
from overbook.node.killers import Killer, Monitored

FULL_SWAP: Final = SwapOccupancy()
STALLS: Final = MemoryPressure()
LOOKED_FOR: Final = "systemd-oomd, earlyoom or nohang"


def _killers(facts: HostState) -> Iterator[HostFinding]:
    for killer in facts.killers or ():
        who = f"{killer.name} (process {killer.pid})"
        if not killer.known:
            watched = (
                f"its settings in {killer.file} are not known" if killer.file else "it watches the memory"
            )
            yield HostFinding(
                "Note",
                "OtherKiller",
                f"{who} runs here, and {watched}: it may kill a pod before a rule fires",
                f"check what it kills and when: systemctl status {killer.pid}",
            )
            continue
        when = (*_when_full(killer, facts), *_when_stalled(killer))
        before = [sentence for sentence, is_before in when if is_before]
        after = [sentence for sentence, is_before in when if not is_before]
        if before:
            yield HostFinding("Risky", "KillsBefore", f"{who} {'; it '.join(before)}", _fix(killer))
        elif after:
            yield HostFinding("Note", "OtherKiller", f"{who} {'; it '.join(after)}", _fix(killer))
        else:
            yield HostFinding(
                "Note",
                "OtherKiller",
                f"{who} runs here; no setting was found that has it kill pods, kubelet or runtime",
                f"systemctl disable --now {killer.unit or killer.name}",
            )


def _when_full(killer: Killer, facts: HostState) -> Iterator[tuple[str, bool]]:
    """What it does when memory and swap are full, and whether it does so before the rule on full swap."""
    if killer.memory_used is None or killer.swap_used is None:
        return
    ram, swap = facts.memory_bytes, facts.swap_bytes
    # The formula of `swapOccupancy`: what is in use of both together, against RAM and a share of the swap.
    its = int(killer.memory_used * ram + killer.swap_used * swap)
    rules = ram + int(FULL_SWAP.threshold_factor * swap)
    is_before = its < rules
    what = "the process with the highest badness"
    if watched := [each.unit for each in killer.monitored if each.swap]:
        what = f"the cgroup with most swap below {' and '.join(watched)}"
    memory_used, swap_used = (f"{100 * share:.3g} %" for share in (killer.memory_used, killer.swap_used))
    at = f"kills {what} from {memory_used} of RAM and {swap_used} of swap in use"
    if not swap:
        yield f"{at}; no swap is on", True
        return
    order = (
        f"{shown(its)} together, before the rule on full swap fires at {shown(rules)}: a VM is killed "
        "where it would be live-migrated"
        if is_before
        else f"{shown(its)} together; the rule on full swap fires before, at {shown(rules)}"
    )
    yield f"{at}, {order}", is_before


def _when_stalled(killer: Killer) -> Iterator[tuple[str, bool]]:
    """What it does when all tasks stall; the rule on stalls compares the same share, over its own window."""
    cases: list[tuple[str, float, float]] = []
    percent, seconds = killer.stalls_percent, killer.stalls_seconds or 0.0
    if percent is None:
        return
    if killer.name != "systemd-oomd":
        cases.append(("", percent, seconds))
    cases += [
        (f" below {each.unit}", each.pressure_percent or percent, each.pressure_seconds or seconds)
        for each in killer.monitored
        if each.pressure
    ]
    for where, limit, duration in cases:
        is_before = limit < STALLS.full_percent or duration < STALLS.window_seconds
        order = "before" if is_before else "after"
        rule = f"{STALLS.full_percent:g} % of {STALLS.window_seconds:g} s, if the node has little memory left"
        its = f"kills{where} when tasks stall {limit:g} % of the time for {duration:g} s"
        yield f"{its}, {order} the rule on stalls ({rule})", is_before


def _fix(killer: Killer) -> str:
    if killer.monitored:
        commands = [_not_monitored(each) for each in killer.monitored]
        return " && ".join((*commands, "systemctl restart systemd-oomd"))
    if killer.unit:
        return f"systemctl disable --now {killer.unit}"
    return f"stop process {killer.pid}, and what starts it"


def _not_monitored(monitored: Monitored) -> str:
    lines = [
        name
        for name, setting in (
            ("ManagedOOMSwap=auto", monitored.swap),
            ("ManagedOOMMemoryPressure=auto", monitored.pressure),
        )
        if setting
    ]
    last = max(setting.path.rpartition("/")[2] for setting in (monitored.swap, monitored.pressure) if setting)
    return drop_in_command(monitored.unit, tuple(lines), last)


def _killers_fine(facts: HostState) -> str:
    if facts.killers is None:
        return ""
    none = f"no process of {LOOKED_FOR}"
    if not facts.open_files_seen:
        return none
    return f"{none}, and no other outside of pods keeps /proc/meminfo or /proc/pressure/memory open"


CHECK: Final = Check("killers", _killers, _killers_fine)
