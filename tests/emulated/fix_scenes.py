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
_HOOKS_READ: Final = pathlib.Path("/opt/hooks")
_CRIO: Final = pathlib.Path("/etc/crio/crio.conf.d/00-hooks.conf")


class Sick(NamedTuple):
    """A node on which some things are wrong.

    Attributes:
        words: the findings, whose fixes are typed.
        scene: makes the node so, and clears it away.
    """

    words: tuple[str, ...]
    scene: Scene


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
}
"""Each sick node, by what it is."""

NOT_HERE: Final[Mapping[str, str]] = {
    "SwapOverNetwork": "the emulated node has no disk that is reached over a network",
}
"""Why a finding's fix is not typed by a test."""
