"""The swap program on a host: its settings file, its units, and where everything lies."""

import os
from importlib.resources import files
from typing import Annotated, Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.host import swap_state

Kind = Literal["file", "device", "zram"]
Discard = Literal["once", "pages", "no"]

PROGRAM: Final = "usr/local/libexec/overbook/overbook-swap"
SETTINGS: Final = "etc/overbook/swap.conf"
UNIT_FOLDER: Final = "etc/systemd/system"
STATE: Final = swap_state.PATH

ON_UNIT: Final = "overbook-swap.service"
MAKE_UNIT: Final = "overbook-swap-provision.service"
PATHS: Final = (PROGRAM, SETTINGS, f"{UNIT_FOLDER}/{ON_UNIT}", f"{UNIT_FOLDER}/{MAKE_UNIT}")
"""All that is ever written on the host."""


CLEANED_UP: Final = ("/var/tmp/", "/tmp/")  # noqa: S108 - to refuse them


class SwapSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What swap a node gets.

    Attributes:
        kind: a file, a partition or device, or zram.
        swapfile: where the file lies; not under ``/var/tmp``, which is cleaned up.
        device: ``/dev/…``, ``LABEL=…`` or ``PARTLABEL=…``.
        percent: memory that is promised, of the node's RAM: the size follows.
        size_bytes: the size itself; 0: by the percentage.
        priority: of ``swapon``; the higher is used first.
        discard: whether the device is told of freed pages: once when swap is turned on, or always.
        encrypt: with a key that is thrown away when the node goes down.
        disk_floor_percent: of the file system, that stays free; the kubelet's image threshold by default.
        disk_floor_bytes: the same in bytes; the larger of the two counts.
        kubelet_configs: the kubelet's configuration files and folders of drop-ins, in order. Swap stays off
            while they refuse it; empty: nobody is asked.
    """

    kind: Kind = "file"
    swapfile: str = "/var/lib/overbook/swap/swapfile"
    device: str = ""
    percent: Annotated[int, msgspec.Meta(ge=10, le=1000)] = 100
    size_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    priority: Annotated[int, msgspec.Meta(ge=0, le=32767)] = 10
    discard: Discard = "once"
    encrypt: bool = False
    disk_floor_percent: Annotated[int, msgspec.Meta(ge=0, le=99)] = 15
    disk_floor_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1 << 30
    kubelet_configs: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what cannot be written into a settings file, or cannot work.

        Raises:
            InvalidInput: a path that is no absolute path in one line, or no device where one is needed.
        """
        for field, path in (
            ("swapfile", self.swapfile),
            *(("kubeletConfigs", path) for path in self.kubelet_configs),
        ):
            if not path.startswith("/") or set(path) & set("\n\r\0: \t"):
                raise InvalidInput(field, path, "an absolute path without blanks and colons")
        if self.swapfile.startswith(CLEANED_UP):
            raise InvalidInput("swapfile", self.swapfile, "a place that is not cleaned up, such as /var/lib")
        if self.kind == "device" and not self.device.startswith(("/dev/", "LABEL=", "PARTLABEL=")):
            raise InvalidInput("device", self.device, "/dev/…, LABEL=… or PARTLABEL=…")
        if set(self.device) & set("\n\r\0"):
            raise InvalidInput("device", self.device, "one line")


def settings_file(settings: SwapSettings) -> str:
    """``swap.conf``: ``KEY=VALUE``, a line each.

    Raises:
        InvalidInput: the settings cannot work.
    """
    settings.check()
    values = {
        "KIND": settings.kind,
        "SWAPFILE": settings.swapfile,
        "DEVICE": settings.device,
        "PERCENT": settings.percent,
        "SIZE_BYTES": settings.size_bytes,
        "PRIORITY": settings.priority,
        "DISCARD": settings.discard,
        "ENCRYPT": "yes" if settings.encrypt else "no",
        "DISK_FLOOR_PERCENT": settings.disk_floor_percent,
        "DISK_FLOOR_BYTES": settings.disk_floor_bytes,
        "KUBELET_CONFIGS": ":".join(settings.kubelet_configs),
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
    fields = {
        "kind": written.get("KIND", "file"),
        "swapfile": written.get("SWAPFILE", ""),
        "device": written.get("DEVICE", ""),
        "percent": written.get("PERCENT", ""),
        "size_bytes": written.get("SIZE_BYTES", ""),
        "priority": written.get("PRIORITY", ""),
        "discard": written.get("DISCARD", ""),
        "encrypt": written.get("ENCRYPT") == "yes",
        "disk_floor_percent": written.get("DISK_FLOOR_PERCENT", ""),
        "disk_floor_bytes": written.get("DISK_FLOOR_BYTES", ""),
        "kubelet_configs": tuple(filter(None, written.get("KUBELET_CONFIGS", "").split(":"))),
    }
    present = {name: value for name, value in fields.items() if value != ""}
    try:
        return msgspec.convert(_in_camel_case(present), SwapSettings, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"/{SETTINGS}", str(error), "settings as `overbook node swap apply` writes them"
        ) from error


def _in_camel_case(fields: dict[str, object]) -> dict[str, object]:
    names = dict(zip(SwapSettings.__struct_fields__, SwapSettings.__struct_encode_fields__, strict=True))
    return {names[name]: value for name, value in fields.items()}


def program_file() -> bytes:
    """The swap program itself."""
    return (files("overbook.host") / "swap.sh").read_bytes()


def host_files(settings: SwapSettings) -> dict[str, tuple[bytes, int]]:
    """Everything that lies on the host: content and mode by path below its root.

    Raises:
        InvalidInput: the settings cannot work.
    """
    folder = files("overbook.host")
    return {
        PROGRAM: (program_file(), 0o755),
        SETTINGS: (settings_file(settings).encode(), 0o644),
        f"{UNIT_FOLDER}/{ON_UNIT}": ((folder / ON_UNIT).read_bytes(), 0o644),
        f"{UNIT_FOLDER}/{MAKE_UNIT}": ((folder / MAKE_UNIT).read_bytes(), 0o644),
    }
