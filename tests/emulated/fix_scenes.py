"""Every finding whose fix is a command has a scene here: a node on which it is found."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from tests.emulated.sick_node import (
    DISK,
    LEFTOVERS,
    MIB,
    PERCENT,
    SYSTEM,
    Kubelet,
    overbook,
    run,
)

Scene = Callable[[], "contextlib.AbstractContextManager[None]"]

_SYSCTLS: Final = pathlib.Path("/proc/sys/vm")
_CGROUPS: Final = pathlib.Path("/sys/fs/cgroup")
_KUBEPODS: Final = _CGROUPS / "kubepods.slice"
_BURSTABLE: Final = _KUBEPODS / "kubepods-burstable.slice"
_PODS: Final = tuple(_BURSTABLE / f"kubepods-burstable-pod{number}.slice" for number in "12")
_ZSWAP: Final = pathlib.Path("/sys/module/zswap/parameters")
_CLEANED_UP: Final = pathlib.Path("/var/tmp")  # noqa: S108 - what is in it is judged
_HOOKS_READ: Final = pathlib.Path("/opt/hooks")
_CRIO: Final = pathlib.Path("/etc/crio/crio.conf.d/00-hooks.conf")


class Sick(NamedTuple):
    """A node on which some things are wrong.

    Attributes:
        words: the findings, whose fixes are typed.
        scene: makes the node so, and clears it away.
        newer: whether only a newer kernel can be so.
    """

    words: tuple[str, ...]
    scene: Scene
    newer: bool = False


def _sysctl(name: str, value: str) -> None:
    (_SYSCTLS / name).write_text(value)


@contextlib.contextmanager
def _swap(*words: str) -> Iterator[None]:
    """Swap is made with these words."""
    made = overbook("node", "swap", "apply", *words)
    assert made.returncode == 0, made.stdout + made.stderr
    try:
        yield
    finally:
        overbook("node", "swap", "remove")


@contextlib.contextmanager
def _kubelet(**fields: Any) -> Iterator[Kubelet]:
    kubelet = Kubelet(SYSTEM / "kubelet.service", fail_swap_on=False, **fields)
    try:
        yield kubelet
    finally:
        kubelet.stop()


@contextlib.contextmanager
def _no_swap() -> Iterator[None]:
    try:
        yield
    finally:
        overbook("node", "swap", "remove")


def _too_little() -> "contextlib.AbstractContextManager[None]":
    return _swap("--size", "16Mi")


@contextlib.contextmanager
def _failed() -> Iterator[None]:
    """The kubelet refused swap when it was to be made, and does not any more."""
    refusing = Kubelet(SYSTEM / "kubelet.service", fail_swap_on=True)
    assert overbook("node", "swap", "apply", "--percent", str(PERCENT)).returncode == 1
    refusing.stop()
    with _kubelet(), _no_swap():
        yield


@contextlib.contextmanager
def _loop() -> Iterator[None]:
    """Swap lies on a loop device, and swap of a better kind is only to be turned on."""
    image = DISK / "image"
    image.write_bytes(bytes(16 * MIB))
    loop = run("losetup", "--find", "--show", str(image)).stdout.strip()
    run("mkswap", loop)
    with _swap("--percent", str(PERCENT)):
        run("swapon", loop)
        try:
            yield
        finally:
            run("losetup", "--detach", loop)
            image.unlink()


@contextlib.contextmanager
def _untuned() -> Iterator[None]:
    with _swap("--percent", str(PERCENT)), _kubelet():
        _sysctl("swappiness", "0")
        _sysctl("panic_on_oom", "1")
        _sysctl("overcommit_memory", "2")
        _sysctl("watermark_scale_factor", "10")
        try:
            yield
        finally:
            overbook("node", "tune", "remove")
            _restore_sysctls()


@contextlib.contextmanager
def _refused_kernel() -> Iterator[None]:
    with _kubelet(protectKernelDefaults=True):
        _sysctl("overcommit_memory", "0")
        _sysctl("panic_on_oom", "1")
        try:
            yield
        finally:
            overbook("node", "tune", "remove")
            _restore_sysctls()


def _restore_sysctls() -> None:
    _sysctl("swappiness", "60")
    _sysctl("panic_on_oom", "0")
    _sysctl("overcommit_memory", "1")
    _sysctl("watermark_scale_factor", "10")


@contextlib.contextmanager
def _engine_with_hooks() -> Iterator[None]:
    """CRI-O's configuration names a folder for hooks."""
    _HOOKS_READ.mkdir(parents=True, exist_ok=True)
    _CRIO.parent.mkdir(parents=True, exist_ok=True)
    _CRIO.write_text(f'[crio.runtime]\nhooks_dir = ["{_HOOKS_READ}"]\n')
    try:
        yield
    finally:
        overbook("node", "hook", "remove")
        _CRIO.unlink()


@contextlib.contextmanager
def _hook_elsewhere() -> Iterator[None]:
    """The hook is installed, and CRI-O was told afterwards to read another folder."""
    with _engine_with_hooks():
        elsewhere = "/etc/containers/oci/hooks.d"
        assert overbook("node", "hook", "install", "--folder", elsewhere).returncode == 0
        yield


@contextlib.contextmanager
def _leftovers() -> Iterator[None]:
    for path in LEFTOVERS:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    yield


@contextlib.contextmanager
def _switched_off() -> Iterator[None]:
    """The swap was made, and another program has switched it off since."""
    with _swap("--percent", str(PERCENT)):
        run("swapoff", "-a")
        yield


@contextlib.contextmanager
def _cleaned_up() -> Iterator[None]:
    """A swap file is in a folder that is cleaned up, and is all that there is."""
    (DISK / "tmp").mkdir()
    run("mount", "--bind", str(DISK / "tmp"), str(_CLEANED_UP))
    swap_file = _CLEANED_UP / "swap"
    swap_file.write_bytes(bytes(16 * MIB))
    swap_file.chmod(0o600)
    run("mkswap", str(swap_file))
    run("swapon", str(swap_file))
    try:
        with _no_swap():
            yield
    finally:
        run("swapoff", str(swap_file), check=False)
        swap_file.unlink()
        run("umount", str(_CLEANED_UP))
        (DISK / "tmp").rmdir()


@contextlib.contextmanager
def _kubepods(*, counted: bool = True) -> Iterator[None]:
    """There are the cgroups of two Burstable pods, each with a container's."""
    containers = [
        pod / f"cri-containerd-{number * 64}.scope" for number, pod in zip("12", _PODS, strict=True)
    ]
    folders = [_KUBEPODS, _BURSTABLE, *_PODS, *containers]
    for folder in folders:
        folder.mkdir()
        if counted and folder not in containers:
            (folder / "cgroup.subtree_control").write_text("+memory")
    try:
        yield
    finally:
        for folder in reversed(folders):
            folder.rmdir()


@contextlib.contextmanager
def _uncounted() -> Iterator[None]:
    with _kubepods(counted=False):
        yield


@contextlib.contextmanager
def _without_stalls() -> Iterator[None]:
    with _kubepods():
        for path in (_KUBEPODS, _BURSTABLE):
            (path / "cgroup.pressure").write_text("0")
        yield


@contextlib.contextmanager
def _closed_rooms() -> Iterator[None]:
    """All pods may swap too little together, and the Burstable ones nothing."""
    with _swap("--percent", str(PERCENT)), _kubepods():
        (_KUBEPODS / "memory.swap.max").write_text(str(16 * MIB))
        (_BURSTABLE / "memory.swap.max").write_text("0")
        yield


@contextlib.contextmanager
def _closed_pods() -> Iterator[None]:
    """Two pods have a limit of their own."""
    with _swap("--percent", str(PERCENT)), _kubepods():
        for pod in _PODS:
            (pod / "memory.swap.max").write_text("0")
        yield


@contextlib.contextmanager
def _zswap_on() -> Iterator[None]:
    """Zswap takes RAM, and the swap is only as large as the percentage demands."""
    with _swap("--percent", str(PERCENT)), _zswap():
        yield


@contextlib.contextmanager
def _zswap() -> Iterator[None]:
    before = {name: _zswap_setting(name) for name in ("enabled", "shrinker_enabled")}
    for name, value in (("enabled", "Y"), ("shrinker_enabled", "N")):
        if before[name]:
            (_ZSWAP / name).write_text(value)
    try:
        yield
    finally:
        for name, value in before.items():
            if value:
                (_ZSWAP / name).write_text(value)


def _zswap_setting(name: str) -> str:
    path = _ZSWAP / name
    return path.read_text().strip() if path.exists() else ""


@contextlib.contextmanager
def _zram() -> Iterator[None]:
    pathlib.Path("/sys/block/zram0/disksize").write_text(str(256 * MIB))
    run("mkswap", "/dev/zram0")
    run("swapon", "--priority", "100", "/dev/zram0")
    try:
        yield
    finally:
        run("swapoff", "/dev/zram0")
        pathlib.Path("/sys/block/zram0/reset").write_text("1")


@contextlib.contextmanager
def _zswap_over_zram() -> Iterator[None]:
    with _zram(), _zswap():
        yield


@contextlib.contextmanager
def _zswap_before_zram() -> Iterator[None]:
    with _swap("--percent", str(PERCENT)), _zram(), _zswap():
        yield


@contextlib.contextmanager
def _zswap_keeps_all() -> Iterator[None]:
    with _swap("--percent", str(PERCENT)), _kubepods(), _zswap():
        (_KUBEPODS / "memory.zswap.writeback").write_text("0")
        yield


SCENES: Final[Mapping[str, Sick]] = {
    "no swap": Sick(("NoSwap",), _no_swap),
    "too little swap": Sick(("SwapTooSmall",), _too_little),
    "swap that was refused": Sick(("SwapNotProvisioned",), _failed),
    "swap on a loop device": Sick(("LoopSwap",), _loop),
    "an untuned kernel": Sick(
        ("SystemSwaps", "Swappiness", "WatermarkBelowEviction", "StrictOvercommit", "PanicOnOom"), _untuned
    ),
    "a kernel that the kubelet refuses": Sick(("KubeletRefusesKernel",), _refused_kernel),
    "an engine without our hook": Sick(("HookNotInstalled",), _engine_with_hooks),
    "a hook that is not read": Sick(("HookNotRead",), _hook_elsewhere),
    "leftovers of another agent": Sick(("OriginalAgentLeftovers",), _leftovers),
    "swap that was switched off": Sick(("SwapSwitchedOff",), _switched_off),
    "swap in a folder that is cleaned up": Sick(("SwapCleanedUp",), _cleaned_up),
    "cgroups without the memory controller": Sick(("MemoryNotCounted",), _uncounted),
    "cgroups without stalls": Sick(("NoCgroupPressure",), _without_stalls),
    "swap limits above pods": Sick(("SwapBounded", "SwapForbidden"), _closed_rooms),
    "swap limits of pods": Sick(("SwapForbidden",), _closed_pods),
    "zswap that does not shrink": Sick(("ZswapTakesRoom",), _zswap_on),
    "zswap that need not shrink": Sick(("ZswapTakesRoom",), _zswap_on, newer=True),
    "zswap over zram": Sick(("ZswapOverZram",), _zswap_over_zram, newer=True),
    "zswap before zram and a disk": Sick(("ZswapBeforeZram",), _zswap_before_zram, newer=True),
    "zswap without writeback": Sick(("ZswapKeepsAll",), _zswap_keeps_all, newer=True),
}
"""Each sick node, by what it is."""

NOT_HERE: Final[Mapping[str, str]] = {
    "SwapOverNetwork": "the emulated node has no disk that is reached over a network",
}
"""Why a finding's fix is not typed by a test."""

WITH_SYSTEMD: Final[frozenset[str]] = frozenset({"KillsBefore", "OtherKiller"})
"""Findings whose fixes systemctl carries out: tests/emulated/test_guards.py types them."""
