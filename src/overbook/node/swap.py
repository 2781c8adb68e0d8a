"""The swap program on a host: its settings file, its units, and where everything lies."""

import os
from importlib.resources import files
from typing import Annotated, Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.percentage import ConfiguredPercent

Kind = Literal["file", "device", "zram"]
Discard = Literal["once", "pages", "no"]

PROGRAM: Final = "usr/local/libexec/overbook/overbook-swap"
SETTINGS: Final = "etc/overbook/swap.conf"
UNIT_FOLDER: Final = "etc/systemd/system"
STATE: Final = "run/overbook/swap.state"

ON_UNIT: Final = "overbook-swap.service"
MAKE_UNIT: Final = "overbook-swap-provision.service"
PATHS: Final = (PROGRAM, SETTINGS, f"{UNIT_FOLDER}/{ON_UNIT}", f"{UNIT_FOLDER}/{MAKE_UNIT}")
"""All that is ever written on the host."""


FOLDER: Final = "/var/lib/overbook/swap"
_NOT_IN_PATHS: Final = frozenset("\n\r\0: \t*?[\\")
CLEANED_UP: Final = ("/var/tmp/", "/tmp/")  # noqa: S108 - to refuse them


class SwapSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What swap a node gets.

    Attributes:
        kind: a file, a partition or device, or zram.
        folder: where the file lies; not under ``/var/tmp``, which is cleaned up.
        device: ``/dev/…``, ``LABEL=…`` or ``PARTLABEL=…``.
        percent: memory that is promised, of the node's RAM: the size follows.
        size_bytes: the size itself; 0: by the percentage.
        priority: of ``swapon``; the higher is used first.
        discard: whether the device is told of freed pages: once when swap is turned on, or always.
        encrypt: with a key that is thrown away when the node goes down; not for zram, which is RAM.
        disk_floor_percent: of the file system, that stays free; the kubelet's image threshold by default.
        disk_floor_bytes: the same in bytes; the larger of the two counts.
        kubelet_configs: the kubelet's configuration files and folders of drop-ins, in order. Swap stays off
            while they refuse it; empty: nobody is asked.
        kubelet_fail_swap_on: the kubelet's flag ``--fail-swap-on``, which wins over its files; ``None``: it
            has none.
    """

    kind: Kind = "file"
    folder: str = FOLDER
    device: str = ""
    percent: ConfiguredPercent = 100
    size_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    priority: Annotated[int, msgspec.Meta(ge=0, le=32767)] = 10
    discard: Discard = "once"
    encrypt: bool = False
    disk_floor_percent: Annotated[int, msgspec.Meta(ge=0, le=99)] = 15
    disk_floor_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1 << 30
    kubelet_configs: tuple[str, ...] = ()
    kubelet_fail_swap_on: bool | None = None

    def check(self) -> None:
        """Refuse what cannot be written into a settings file, or cannot work.

        Raises:
            InvalidInput: a path that is no absolute path in one line, or no device where one is needed.
        """
        paths = [("folder", self.folder), *(("kubeletConfigs", path) for path in self.kubelet_configs)]
        for field, path in paths:
            if not path.startswith("/") or set(path) & _NOT_IN_PATHS:
                raise InvalidInput(field, path, "an absolute path without blanks and colons")
        if f"{self.folder}/".startswith(CLEANED_UP):
            raise InvalidInput("folder", self.folder, "a place that is not cleaned up, such as /var/lib")
        if self.kind == "device" and not self.device.startswith(("/dev/", "LABEL=", "PARTLABEL=")):
            raise InvalidInput("device", self.device, "/dev/…, LABEL=… or PARTLABEL=…")
        if set(self.device) & _NOT_IN_PATHS:
            raise InvalidInput("device", self.device, "a name without blanks and colons")
        if self.encrypt and self.kind == "zram":
            raise InvalidInput("encrypt", "with zram", "no encryption: zram is RAM")
        if self.encrypt and self.kind == "device" and self.device.startswith("LABEL="):
            raise InvalidInput(
                "device", self.device, "PARTLABEL=… or /dev/…: what is encrypted overwrites its own label"
            )


def settings_file(settings: SwapSettings) -> str:
    """``swap.conf``: ``KEY=VALUE``, a line each.

    Raises:
        InvalidInput: the settings cannot work.
    """
    settings.check()
    values = {
        "KIND": settings.kind,
        "FOLDER": settings.folder,
        "DEVICE": settings.device,
        "PERCENT": settings.percent,
        "SIZE_BYTES": settings.size_bytes,
        "PRIORITY": settings.priority,
        "DISCARD": settings.discard,
        "ENCRYPT": "yes" if settings.encrypt else "no",
        "DISK_FLOOR_PERCENT": settings.disk_floor_percent,
        "DISK_FLOOR_BYTES": settings.disk_floor_bytes,
        "KUBELET_CONFIGS": ":".join(settings.kubelet_configs),
        "KUBELET_FAIL_SWAP_ON": {None: "", True: "true", False: "false"}[settings.kubelet_fail_swap_on],
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def read_settings(root: str) -> SwapSettings | None:
    """The settings in force on a host; ``None``: there are none.

    Raises:
        InvalidInput: the file says what no settings file of ours says.
        OSError: it cannot be read.
    """
    try:
        with open(os.path.join(root, SETTINGS), encoding="utf-8") as file:
            written = dict(line.rstrip("\n").partition("=")[::2] for line in file if "=" in line)
    except FileNotFoundError:
        return None
    fields: dict[str, object] = {name.lower(): value for name, value in written.items() if value}
    fields["encrypt"] = fields.get("encrypt") == "yes"
    fields["kubelet_configs"] = (
        written.get("KUBELET_CONFIGS", "").split(":") if written.get("KUBELET_CONFIGS") else ()
    )
    names = dict(zip(SwapSettings.__struct_fields__, SwapSettings.__struct_encode_fields__, strict=True))
    try:
        return msgspec.convert(
            {names.get(name, name): value for name, value in fields.items()}, SwapSettings, strict=False
        )
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"/{SETTINGS}", str(error), "settings as `overbook node swap apply` writes them"
        ) from error


def program_file() -> bytes:
    """The swap program itself."""
    return (files("overbook.node.programs") / "swap.sh").read_bytes()


def host_files(settings: SwapSettings) -> dict[str, tuple[bytes, int]]:
    """Everything that lies on the host: content and mode by path below its root.

    Raises:
        InvalidInput: the settings cannot work.
    """
    settings.check()
    units = {
        # The folder's file system has to be there first.
        f"{UNIT_FOLDER}/{name}": (
            (files("overbook.node.programs") / name).read_text().replace(FOLDER, settings.folder).encode(),
            0o644,
        )
        for name in (ON_UNIT, MAKE_UNIT)
    }
    return {
        PROGRAM: (program_file(), 0o755),
        SETTINGS: (settings_file(settings).encode(), 0o644),
        **units,
    }


_MOST_BYTES: Final = 4096


def read_state(root: str) -> tuple[str, str] | None:
    """Word and sentence; ``None``: nothing was attempted since the boot.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with open(os.path.join(root, STATE), encoding="utf-8", errors="replace") as file:
            written = dict(line.partition("=")[::2] for line in file.read(_MOST_BYTES).splitlines())
    except FileNotFoundError:
        return None
    return written.get("state", "Unreadable"), written.get("sentence", "its state file says nothing")
