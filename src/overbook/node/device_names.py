"""The device behind a name of fstab or of a setting."""

import os


def followed(root: str, name: str) -> str:
    """The device or file behind a name: through ``UUID=`` and links below /dev/disk."""
    kind, equals, value = name.partition("=")
    if equals and kind in {"UUID", "LABEL", "PARTUUID", "PARTLABEL", "ID"}:
        value = value.strip('"')
        name = f"/dev/disk/by-{kind.lower()}/{value}"
    for _ in range(8):
        full = os.path.join(root, name.lstrip("/"))
        if not os.path.islink(full):
            break
        name = os.path.normpath(os.path.join(os.path.dirname(name), os.readlink(full)))
    return name
