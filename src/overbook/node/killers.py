"""Other programs on the node that kill processes when memory runs short, with the thresholds in force.

Their settings: systemd's oomd.conf(5) and ``ManagedOOM…=`` of systemd.resource-control(5); earlyoom's flags;
nohang's configuration file. A program that is not known here is found by what such a program needs: it keeps
``/proc/meminfo`` or ``/proc/pressure/memory`` open all the time.
"""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from overbook.kernel.kubepods import PodScanner
from overbook.node.drop_in import Setting, assignments, drop_ins, unit_settings
from overbook.node.kubelet import CommandLines, cgroup_of, find_process, unit_of

_OOMD: Final = "systemd-oomd"
_OOMD_FOLDERS: Final = ("etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd")
_WATCHED: Final = frozenset({"/proc/meminfo", "/proc/pressure/memory"})
_EARLYOOM: Final = "earlyoom"
_NOHANG: Final = "nohang"
_VALUED: Final = frozenset({"-m", "-s", "-M", "-S"})
_NUMBER: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)")
_NOT_KILLERS: Final = (
    "systemd",
    "overbook",
    "python -m overbook",
    "kubelet",
    "containerd",
    "crio",
    "atop",
    "htop",
    "top",
)
_MOST_LINKS: Final = 4096


class Monitored(msgspec.Struct, frozen=True, gc=False):
    """A unit below which systemd-oomd kills.

    Attributes:
        unit: its name.
        swap: the setting that has it kill when swap is full; ``None``: it does not.
        pressure: the same for stalls.
        pressure_percent: its own limit for stalls; ``None``: the default one.
        pressure_seconds: its own duration of the stalls; ``None``: the default one.
    """

    unit: str
    swap: Setting | None = None
    pressure: Setting | None = None
    pressure_percent: float | None = None
    pressure_seconds: float | None = None


class Killer(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A program that kills.

    Attributes:
        name: the program.
        pid: its process.
        unit: its systemd unit; empty: it has none.
        known: whether its settings are understood.
        memory_used: the share of RAM in use from which it may kill, 0-1; ``None``: it does not look, or not
            known.
        swap_used: the share of swap in use from which it may kill; both shares have to be reached.
        stalls_percent: stalls of all tasks, in percent of time, from which it may kill; ``None``: never for
            those.
        stalls_seconds: for how long.
        monitored: the units below which systemd-oomd kills.
        file: its configuration; empty: flags or none.
    """

    name: str
    pid: int
    unit: str = ""
    known: bool = True
    memory_used: float | None = None
    swap_used: float | None = None
    stalls_percent: float | None = None
    stalls_seconds: float | None = None
    monitored: tuple[Monitored, ...] = ()
    file: str = ""


def find_killers(
    root: str, lines: CommandLines, memory_bytes: int, swap_bytes: int, *, whole: bool = True
) -> tuple[Killer, ...]:
    """The programs that kill, by their processes outside of pods.

    Args:
        root: the host's file system.
        lines: the processes.
        memory_bytes: MemTotal, for thresholds in bytes.
        swap_bytes: the swap that is on.
        whole: look also for programs that are not known, which takes a look at the open files of all
            processes.

    Raises:
        OSError: settings cannot be read.
        KernelFileError: the cgroup tree cannot be read.
    """
    found: list[Killer] = []
    for pid, words in lines:
        names = [os.path.basename(word) for word in words[:2]]
        killer = None
        if names[0] == _OOMD:
            killer = _oomd(pid, root, lines)
        elif names[0] == _EARLYOOM:
            killer = _earlyoom(pid, words, memory_bytes, swap_bytes)
        elif _NOHANG in names:
            killer = _nohang(pid, words, root, memory_bytes, swap_bytes)
        elif whole and words[0] and _watches(pid, root) and not _is_harmless(words):
            killer = Killer(name=names[0], pid=pid, known=False)
        if killer is not None:
            found.append(msgspec.structs.replace(killer, unit=unit_of(pid, root)))
    return tuple(found)


def shows_open_files(root: str) -> bool:
    """Whether open files of other processes can be read, by which unknown programs are found."""
    try:
        os.listdir(os.path.join(root, "proc/1/fd"))
    except OSError:
        return False
    return True


def _is_harmless(words: Sequence[str]) -> bool:
    name = os.path.basename(words[0])
    return name.startswith(_NOT_KILLERS) or any("overbook" in word for word in words[:4])


def _watches(pid: int, root: str) -> bool:
    """Whether a process outside of pods keeps one of the files open by which memory is watched."""
    folder = os.path.join(root, "proc", str(pid), "fd")
    try:
        names = os.listdir(folder)[:_MOST_LINKS]
    except OSError:
        return False
    if pid == os.getpid() or "kubepods" in (cgroup_of(pid, root) or ""):
        return False
    for name in names:
        try:
            if os.readlink(os.path.join(folder, name)) in _WATCHED:
                return True
        except OSError:
            continue
    return False


def _oomd(pid: int, root: str, lines: CommandLines) -> Killer:
    """systemd-oomd: with swap, when more than the limit of both memory and swap is used; or for stalls."""
    if not os.path.isdir(os.path.join(root, "etc")):
        return Killer(name=_OOMD, pid=pid, known=False, file="/etc/systemd")  # in a pod
    values: dict[str, str] = {}
    own = (f"{folder}/oomd.conf" for folder in _OOMD_FOLDERS)
    first = next((path for path in own if os.path.isfile(os.path.join(root, path))), None)
    for path in (*([first] if first else []), *drop_ins(root, "oomd.conf", _OOMD_FOLDERS)):
        values.update({name: value for name, value in assignments(root, path) if value})
    limit = _share(values.get("SwapUsedLimit") or values.get("SwapUsedLimitPercent"), 0.9)
    monitored = tuple(_monitored(root, lines))
    return Killer(
        name=_OOMD,
        pid=pid,
        memory_used=limit if any(each.swap for each in monitored) else None,
        swap_used=limit if any(each.swap for each in monitored) else None,
        stalls_percent=100 * _share(values.get("DefaultMemoryPressureLimit"), 0.6),
        stalls_seconds=seconds(values.get("DefaultMemoryPressureDurationSec")) or 30.0,
        monitored=monitored,
    )


def _monitored(root: str, lines: CommandLines) -> Iterator[Monitored]:
    """The units on the way to the pods, and to kubelet and runtime, that are to be monitored."""
    scanner = PodScanner(root)
    scanner.scan()
    units = {"-.slice": None, "kubepods.slice": None, "kubepods-burstable.slice": None, "system.slice": None}
    units.update((part, None) for path, _ in scanner.class_paths for part in path.split("/"))
    process = find_process(root, lines)
    path = (cgroup_of(process.pid, root) if process else None) or ""
    units.update((part, None) for part in path.split("/"))
    for unit in units:
        if not unit.endswith((".slice", ".service")):
            continue
        settings = unit_settings(unit, root)
        swap, pressure = settings.get("ManagedOOMSwap"), settings.get("ManagedOOMMemoryPressure")
        kills = [each is not None and each.value == "kill" for each in (swap, pressure)]
        if any(kills):
            percent = settings.get("ManagedOOMMemoryPressureLimit")
            duration = settings.get("ManagedOOMMemoryPressureDurationSec")
            yield Monitored(
                unit,
                swap if kills[0] else None,
                pressure if kills[1] else None,
                100 * _share(percent.value, 0.6)
                if percent and percent.value not in {"", "0", "0%"}
                else None,
                seconds(duration.value) if duration else None,
            )


def _earlyoom(pid: int, words: Sequence[str], memory_bytes: int, swap_bytes: int) -> Killer:
    """earlyoom: when less than so much memory is available and less than so much swap is free."""
    given: dict[str, float] = {}
    for name, value in _earlyoom_flags(words):
        number = _NUMBER.match(value)
        if number is not None:
            given[name] = float(number[1])
    memory = _least(given.get("-m", 10.0 if "-M" not in given else None), given.get("-M"), memory_bytes)
    swap = _least(given.get("-s", 10.0 if "-S" not in given else None), given.get("-S"), swap_bytes)
    return Killer(name=_EARLYOOM, pid=pid, memory_used=1 - memory, swap_used=1 - swap)


def _earlyoom_flags(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    for index, word in enumerate(words[1:], 1):
        if word[:2] in _VALUED:
            following = words[index + 1] if index + 1 < len(words) else ""
            yield word[:2], word[2:] or following


def _least(percent: float | None, kib: float | None, whole_bytes: int) -> float:
    """The share that has to be left; of a percentage and a size the lower one counts, as in earlyoom."""
    shares = [] if percent is None else [percent / 100]
    if kib is not None and whole_bytes:
        shares.append(kib * 1024 / whole_bytes)
    return min(1.0, min(shares, default=0.1))


def _nohang(pid: int, words: Sequence[str], root: str, memory_bytes: int, swap_bytes: int) -> Killer:
    """nohang: when both memory and swap are below its soft thresholds; for stalls only if it is told to."""
    paths = [words[n + 1] for n, word in enumerate(words[:-1]) if word in {"-c", "--config"}]
    path = paths[0] if paths else "/etc/nohang/nohang.conf"
    try:
        values = dict(assignments(root, path.lstrip("/")))
    except OSError:
        return Killer(name=_NOHANG, pid=pid, known=False, file=path)
    memory = _nohang_share(values.get("soft_threshold_min_mem"), memory_bytes)
    swap = _nohang_share(values.get("soft_threshold_min_swap"), swap_bytes)
    stalls = _NUMBER.match(values.get("soft_threshold_max_psi", ""))
    looks_at_stalls = values.get("psi_checking_enabled") == "True" and stalls is not None
    return Killer(
        name=_NOHANG,
        pid=pid,
        known=memory is not None and swap is not None,
        memory_used=None if memory is None else 1 - memory,
        swap_used=None if swap is None else 1 - swap,
        stalls_percent=float(stalls[1]) if looks_at_stalls and stalls else None,
        stalls_seconds=_duration(values.get("psi_excess_duration")) if looks_at_stalls else None,
        file=path,
    )


def _nohang_share(text: str | None, whole_bytes: int) -> float | None:
    number = _NUMBER.match(text or "")
    if number is None or text is None:
        return None
    if text.rstrip().endswith("M"):
        return min(1.0, float(number[1]) * 2**20 / whole_bytes) if whole_bytes else None
    return min(1.0, float(number[1]) / 100)


def _duration(text: str | None) -> float | None:
    number = _NUMBER.match(text or "")
    return float(number[1]) if number else None


def _share(text: str | None, otherwise: float) -> float:
    """A share in percent, permille, permyriad, or as a bare number of percent."""
    number = _NUMBER.match(text or "")
    if number is None or text is None:
        return otherwise
    divisor = 1000 if text.endswith("‰") else 10000 if text.endswith("‱") else 100
    return min(1.0, float(number[1]) / divisor)


def seconds(text: str | None) -> float | None:
    """A time span in the form of systemd.time(7), such as ``20s`` or ``1min 30s``; ``None``: it is none."""
    units = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 0.001, "us": 1e-6, "m": 60.0, "min": 60.0, "h": 3600.0}
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", text or "")
    if not parts or any(unit not in units for _, unit in parts):
        return None
    return sum(float(number) * units[unit] for number, unit in parts)
