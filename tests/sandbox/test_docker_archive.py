import gzip
import hashlib
import io
import json
import pathlib
import tarfile

from overbook_sandbox.node.docker_archive import EXECUTABLE, docker_archive, layer_of_files, layer_of_folder


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: member for member in tar}


def files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: content.read() for member in tar if (content := tar.extractfile(member))}


def test_an_image_equals_what_docker_saves() -> None:
    lower, upper = (layer_of_files({name: name.encode()}, mode=EXECUTABLE) for name in ("lower", "upper"))
    image = files(docker_archive("localhost/some:1", [lower, upper], {"Entrypoint": ["/upper"]}))
    (manifest,) = json.loads(image["manifest.json"])
    assert manifest["RepoTags"] == ["localhost/some:1"]
    assert [gzip.decompress(image[name]) for name in manifest["Layers"]] == [lower, upper]
    config = json.loads(image[manifest["Config"]])
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in (lower, upper)]
    assert config["rootfs"]["diff_ids"] == digests
    assert config["config"] == {"Entrypoint": ["/upper"]}
    assert members(upper)["upper"].mode == EXECUTABLE


def test_a_folder_becomes_a_layer_whatever_its_path_and_owner(tmp_path: pathlib.Path) -> None:
    def layer(name: str) -> bytes:
        folder = tmp_path / name
        (folder / "usr/bin").mkdir(parents=True)
        (folder / "usr/share/doc").mkdir(parents=True)
        (folder / "usr/share/doc/copyright").write_text("long")
        (folder / "usr/bin/program").write_text("program")
        (folder / "usr/bin/program").chmod(EXECUTABLE)
        (folder / "usr/bin/other").symlink_to("program")
        return layer_of_folder(str(folder), "opt", without=("usr/share",))

    first = layer("first")
    assert first == layer("second")
    found = members(first)
    assert set(found) == {"opt/usr", "opt/usr/bin", "opt/usr/bin/program", "opt/usr/bin/other"}
    assert files(first)["opt/usr/bin/program"] == b"program"
    program, other = found["opt/usr/bin/program"], found["opt/usr/bin/other"]
    assert (program.mode, program.uid, program.mtime) == (EXECUTABLE, 0, 0)
    assert other.linkname == "program"
