"""The swap program on a host: its settings file, its units, and their paths."""

import os
from importlib.resources import files
from typing import Annotated, Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.percentage import ConfiguredPercent

Kind = Literal["file", "device", "zram", "existing"]
Discard = Literal["once", "pages", "no"]

PROGRAM: Final = "usr/local/libexec/overbook/overbook-swap"
SETTINGS: Final = "etc/overbook/swap.conf"
RUN_SETTINGS: Final = "run/overbook/swap.conf"
"""The settings where ``/etc`` is read-only, until the next boot; only for the kind ``existing``."""
NEXT_SETTINGS: Final = "etc/overbook/swap.next.conf"
"""The settings that swap is moving to, while the new swap is being made."""
OLD_SETTINGS: Final = "etc/overbook/swap.old.conf"
"""The settings that swap has moved from, until the old swap is off."""
UNIT_FOLDER: Final = "etc/systemd/system"
STATE: Final = "run/overbook/swap.state"

ON_UNIT: Final = "overbook-swap.service"
MAKE_UNIT: Final = "overbook-swap-provision.service"
KEEP_UNIT: Final = "overbook-swap-keep.timer"
ETC_PROGRAM: Final = "etc/overbook/overbook-swap"
"""The program's path where ``/usr/local`` is read-only, as on Flatcar; units need ``/etc`` anyway."""
PATHS: Final = (
    PROGRAM,
    ETC_PROGRAM,
    SETTINGS,
    RUN_SETTINGS,
    NEXT_SETTINGS,
    OLD_SETTINGS,
    *(f"{UNIT_FOLDER}/{name}" for name in (ON_UNIT, MAKE_UNIT, KEEP_UNIT)),
)
"""All files that may be written on the host."""


FOLDER: Final = "/var/lib/overbook/swap"
_BEFORE_SHUTDOWN: Final = "Before=shutdown.target\n"
_NOT_IN_PATHS: Final = frozenset("\n\r\0: \t*?[\\")
SWAP_FILESYSTEMS: Final = frozenset({"ext4", "xfs", "ext3", "ext2"})
"""The file systems on which the swap program makes files."""
CLEANED_UP: Final = ("/var/tmp/", "/tmp/")  # noqa: S108 - to refuse them


class SwapSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The settings of a node's swap.

    Attributes:
        kind: a file, a partition or device, or zram; ``existing``: swap that others make is judged, and none
            is made.
        folder: the folder of the swap file; not under ``/var/tmp``, which is cleaned up.
        device: ``/dev/…``, ``LABEL=…`` or ``PARTLABEL=…``.
        percent: the overcommit percentage, from which the size is computed.
        size_bytes: the size itself; 0: computed from the percentage.
        other_bytes: swap of other programs that counts towards the percentage: only the rest is made.
        priority: the priority for ``swapon``; higher ones are used first.
        discard: whether freed pages are discarded on the device: once when swap is turned on, or always.
        encrypt: encrypt with a key that is lost when the node goes down; not for zram, which is RAM.
        disk_floor_percent: the part of the file system that stays free; by default the kubelet's image
            threshold.
        disk_floor_bytes: the same in bytes; the larger of the two counts.
        kubelet_configs: the kubelet's configuration files and folders of drop-ins, in order. Swap stays off
            while they have ``failSwapOn``; empty: not checked.
        kubelet_fail_swap_on: the kubelet's flag ``--fail-swap-on``, which overrides its files; ``None``: not
            set.
        keep_on: turn swap on again within two minutes if another program switches it off.
    """

    kind: Kind = "file"
    folder: str = FOLDER
    device: str = ""
    percent: ConfiguredPercent = 100
    size_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    other_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    priority: Annotated[int, msgspec.Meta(ge=0, le=32767)] = 10
    discard: Discard = "once"
    encrypt: bool = False
    disk_floor_percent: Annotated[int, msgspec.Meta(ge=0, le=99)] = 15
    disk_floor_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1 << 30
    kubelet_configs: tuple[str, ...] = ()
    kubelet_fail_swap_on: bool | None = None
    keep_on: bool = False

    def check(self) -> None:
        """Check that the settings can be written into a file, and can work.

        Raises:
            InvalidInput: a path is not an absolute path in one line, or a needed device is missing.
        """
        paths = [("folder", self.folder), *(("kubeletConfigs", path) for path in self.kubelet_configs)]
        for field, path in paths:
            if not path.startswith("/") or set(path) & _NOT_IN_PATHS:
                raise InvalidInput(field, path, "an absolute path without blanks and colons")
        if f"{self.folder}/".startswith(CLEANED_UP):
            raise InvalidInput("folder", self.folder, "a folder that is not cleaned up, such as /var/lib")
        if self.kind == "device" and not self.device.startswith(("/dev/", "LABEL=", "PARTLABEL=")):
            raise InvalidInput("device", self.device, "/dev/…, LABEL=… or PARTLABEL=…")
        if set(self.device) & _NOT_IN_PATHS:
            raise InvalidInput("device", self.device, "a name without blanks and colons")
        if self.kind == "existing" and (self.encrypt or self.keep_on):
            raise InvalidInput("kind", self.kind, "neither encryption nor keepOn: others make this swap")
        if self.encrypt and self.kind == "zram":
            raise InvalidInput("encrypt", "with zram", "no encryption: zram is RAM")
        if self.encrypt and self.kind == "device" and self.device.startswith("LABEL="):
            raise InvalidInput(
                "device", self.device, "PARTLABEL=… or /dev/…: encrypted swap overwrites the label"
            )


def settings_file(settings: SwapSettings) -> str:
    """The content of ``swap.conf``: lines of ``KEY=VALUE``.

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
    if settings.other_bytes:
        values["OTHER_BYTES"] = settings.other_bytes
    if settings.keep_on:  # the program itself does not read this
        values["KEEP_ON"] = "yes"
    return "".join(f"{key}={value}\n" for key, value in values.items())


def read_settings(root: str) -> SwapSettings | None:
    """The settings in force on a host; ``None`` if there are none.

    Raises:
        InvalidInput: the file is not a settings file of Overbook.
        OSError: the file cannot be read.
    """
    found = (read_settings_file(root, path) for path in (SETTINGS, RUN_SETTINGS))
    return next((settings for settings in found if settings), None)


def read_settings_file(root: str, path: str) -> SwapSettings | None:
    """The settings in one file; ``None`` if there is no such file.

    Raises:
        InvalidInput: the file is not a settings file of Overbook.
        OSError: the file cannot be read.
    """
    try:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            written = dict(line.rstrip("\n").partition("=")[::2] for line in file if "=" in line)
    except (FileNotFoundError, NotADirectoryError):
        return None
    fields: dict[str, object] = {name.lower(): value for name, value in written.items() if value}
    fields["keep_on"] = fields.get("keep_on") == "yes"
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
            f"/{path}", str(error), "settings as `overbook node swap apply` writes them"
        ) from error


def program_file() -> bytes:
    """The content of the swap program."""
    return (files("overbook.node.programs") / "swap.sh").read_bytes()


def program_path(root: str) -> str:
    """The path of the swap program below the root: where it is, or else where it can be written."""
    for path in (PROGRAM, ETC_PROGRAM):
        if os.path.exists(os.path.join(root, path)):
            return path
    return ETC_PROGRAM if is_read_only(root, PROGRAM) else PROGRAM


def is_read_only(root: str, path: str) -> bool:
    """Whether a file's nearest existing folder is on a file system that is mounted read-only."""
    folder = os.path.dirname(path)
    while folder and not os.path.isdir(os.path.join(root, folder)):
        folder = os.path.dirname(folder)
    return bool(os.statvfs(os.path.join(root, folder)).f_flag & os.ST_RDONLY)


def host_files(
    settings: SwapSettings, kubelet_unit: str = "", program: str = PROGRAM
) -> dict[str, tuple[bytes, int]]:
    """All files to install: content and mode by path below the host's root.

    Args:
        settings: the settings of the node's swap.
        kubelet_unit: the unit in which this node's kubelet runs; empty: one of the usual ones.
        program: the swap program's path below the root.

    Raises:
        InvalidInput: the settings cannot work.
    """
    settings.check()
    units = {
        # The units depend on the folder's file system.
        f"{UNIT_FOLDER}/{name}": (
            (files("overbook.node.programs") / name)
            .read_text()
            .replace(FOLDER, settings.folder)
            .replace(f"ExecStart=/{PROGRAM}", f"ExecStart=/{program}")
            .encode(),
            0o644,
        )
        for name in (ON_UNIT, MAKE_UNIT, *([KEEP_UNIT] if settings.keep_on else []))
    }
    on, mode = units[f"{UNIT_FOLDER}/{ON_UNIT}"]
    if kubelet_unit and f" {kubelet_unit}" not in on.decode().replace("=", " "):
        before = f"Before={kubelet_unit}\n{_BEFORE_SHUTDOWN}"
        units[f"{UNIT_FOLDER}/{ON_UNIT}"] = on.decode().replace(_BEFORE_SHUTDOWN, before).encode(), mode
    return {
        program: (program_file(), 0o755),
        SETTINGS: (settings_file(settings).encode(), 0o644),
        **units,
    }


_MOST_BYTES: Final = 4096


def read_state(root: str) -> tuple[str, str] | None:
    """The state of swap, as a word and a sentence; ``None`` if nothing was attempted since the boot.

    Raises:
        OSError: the state file cannot be read.
    """
    try:
        with open(os.path.join(root, STATE), encoding="utf-8", errors="replace") as file:
            written = dict(line.partition("=")[::2] for line in file.read(_MOST_BYTES).splitlines())
    except FileNotFoundError:
        return None
    return written.get("state", "Unreadable"), written.get("sentence", "the state file has no sentence")
