"""Images without a registry: archives in Docker's format, as `docker save` writes them and `ctr` reads them.

Source: Docker "Image Specification v1.2", "Combined Image JSON + Filesystem Changeset Format".
"""

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

EXECUTABLE: Final = 0o755
PLAIN: Final = 0o644
_LEVEL: Final = 6


def docker_archive(name: str, layers: Sequence[bytes], config: Mapping[str, Any]) -> bytes:
    """The archive of an image. The layers are compressed, because an emulated node reads and hashes slowly.

    Args:
        name: The image's name with its tag.
        layers: The tar archives, the lowest first.
        config: The image's configuration, such as `{"Entrypoint": ["/program"]}`.
    """
    names = [f"layer-{number}.tar.gz" for number in range(len(layers))]
    about = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers],
        },
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": names}]
    packed = (gzip.compress(layer, _LEVEL, mtime=0) for layer in layers)
    contents = dict(zip(names, packed, strict=True))
    contents |= {"config.json": msgspec.json.encode(about), "manifest.json": msgspec.json.encode(manifest)}
    return layer_of_files(contents, mode=PLAIN)


def layer_of_files(contents: Mapping[str, bytes], *, mode: int) -> bytes:
    """A layer of some files.

    Args:
        contents: The files' contents by path, relative to the image's root.
        mode: The mode of all files.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def layer_of_folder(folder: str, below: str = "", *, without: Collection[str] = ()) -> bytes:
    """A layer of a folder's content, owned by root and without times, so equal files give an equal layer.

    Args:
        folder: The folder.
        below: The folder's path in the image, relative to the image's root.
        without: Folders to leave out, relative to `folder`.
    """
    left_out = {os.path.join(below, path) for path in without}

    def entry(found: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if found.name in left_out:
            return None
        found.uid = found.gid = found.mtime = 0
        found.uname = found.gname = ""
        return found

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in sorted(os.listdir(folder)):
            archive.add(os.path.join(folder, name), os.path.join(below, name), filter=entry)
    return stream.getvalue()
