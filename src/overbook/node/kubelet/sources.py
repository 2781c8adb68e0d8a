"""The places where a distribution writes its kubelet's flags and configuration.

A program ``kubelet`` has them on its command line. MicroK8s has the flags in a file of its snap. k3s and RKE2
have flags of their own: ``kubelet-arg`` in their configuration files or on their command line. MicroShift
writes the configuration into its data folder. Sources: k3s ``pkg/daemons/agent``, ``pkg/configfilearg``; RKE2
``pkg/cli``; microk8s-core-addons and snap ``args/kubelet``; MicroShift ``pkg/node/kubelet.go``.
"""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from overbook.core.kubernetes.kubelet_flags import parse_flags
from overbook.kube.files.one_document import document_fields
from overbook.node.kubelet.process import Process, read_bytes, unit_of

MICROSHIFT_FILE: Final = "/var/lib/microshift/resources/kubelet/config/config.yaml"
MICROSHIFT_SETTINGS: Final = "/etc/microshift/config.yaml"
UNIT_FOLDERS: Final = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
RANCHER_DEFAULTS: Final[Mapping[str, str]] = {
    "fail-swap-on": "false",
    "eviction-hard": "imagefs.available<5%,nodefs.available<5%",
}
"""The flags that k3s and RKE2 give their kubelet where they write no file with the same."""


class Sources(msgspec.Struct, frozen=True):
    """Where the settings of a kubelet are.

    Attributes:
        flags: its flags.
        file: the path of its configuration file; empty: none.
        folder: the path of the folder of its drop-ins; empty: none.
        place: where its settings are changed, for people; empty: in its configuration.
        has_default_thresholds: whether the kubelet merges its default thresholds into the file.
    """

    flags: Mapping[str, str]
    file: str = ""
    folder: str = ""
    place: str = ""
    has_default_thresholds: bool = True


def sources(process: Process, root: str, *, whole: bool) -> Sources:
    """Where the settings of a kubelet are.

    Args:
        process: its process.
        root: the host's file system.
        whole: whether all of the host is below the root.

    Raises:
        InvalidInput: a distribution's file is malformed.
        OSError: a distribution's file cannot be read.
    """
    if process.program == "kubelite":
        return _microk8s(process, root)
    if process.program == "microshift":
        place = f"below kubelet: in {MICROSHIFT_SETTINGS}"
        # MicroShift reads the file itself, and not as the kubelet does.
        return Sources({}, MICROSHIFT_FILE, place=place, has_default_thresholds=False)
    if process.program in {"k3s", "rke2"}:
        return _rancher(process, root, whole=whole)
    flags = process.flags
    return Sources(flags, flags.get("config", ""), flags.get("config-dir", ""), _kubelets_place(flags))


def _kubelets_place(flags: Mapping[str, str]) -> str:
    folder = flags.get("config-dir", "")
    for distribution in ("k3s", "rke2"):
        if folder.startswith(f"/var/lib/rancher/{distribution}/"):
            return f"in a file of {folder} whose name ends in .conf and sorts after 00-"
    return ""


def _microk8s(process: Process, root: str) -> Sources:
    """The flags in the snap's file, in which the snap's variables stand for its folders."""
    path = process.flags.get("kubelet-args-file", "/var/snap/microk8s/current/args/kubelet")
    text = read_bytes(os.path.join(root, path.lstrip("/"))).decode("utf-8", "replace")
    for name, folder in _snap_folders(process.path, path).items():
        text = text.replace(f"${{{name}}}", folder).replace(f"${name}", folder)
    flags = parse_flags([word for line in text.splitlines() for word in _split(line)])
    return Sources(flags, flags.get("config", ""), flags.get("config-dir", ""), f"in {path}")


def _snap_folders(program: str, arguments: str) -> dict[str, str]:
    """The snap's variables; the longer name first, since it begins with the shorter one."""
    data = arguments.partition("/args/")[0]
    revision = os.path.basename(data)
    return {
        "SNAP_COMMON": os.path.join(os.path.dirname(data), "common"),
        "SNAP_DATA": data,
        "SNAP": os.path.dirname(program) if program.startswith("/snap/") else f"/snap/microk8s/{revision}",
    }


def _rancher(process: Process, root: str, *, whole: bool) -> Sources:
    name = process.program
    words = list(process.words[1:])
    if not process.flags:  # a title has replaced the command line
        words = _unit_words(unit_of(process.pid, root), name, root) or words
    given = _own_flags(words)
    settings = _settings(given.get("config", [f"/etc/rancher/{name}/config.yaml"])[-1], root)
    data = _last([*_texts(settings.get("data-dir")), *given.get("data-dir", [])], f"/var/lib/rancher/{name}")
    if not whole and not os.path.isdir(os.path.join(root, data.lstrip("/"))):
        raise FileNotFoundError(2, f"no such folder, so the settings of {name} are not known", data)
    arguments = [*_texts(settings.get("kubelet-arg")), *given.get("kubelet-arg", [])]
    folder, file = f"{data}/agent/etc/kubelet.conf.d", f"{data}/agent/etc/kubelet.conf"
    written = _exists(root, f"{folder}/00-{name}-defaults.conf") or _exists(root, file)
    defaults = dict[str, str]() if written else dict(RANCHER_DEFAULTS)
    protects = _last(
        [*_texts(settings.get("protect-kernel-defaults")), *given.get("protect-kernel-defaults", [])], ""
    )
    if protects and not written:
        defaults["protect-kernel-defaults"] = protects
    flags = _kubelet_arguments(defaults, arguments)
    place = (
        f"in a file such as {folder}/90-overbook.conf"
        if written
        else f"as kubelet-arg in /etc/rancher/{name}/config.yaml"
    )
    # What --config names was copied to the place of the defaults, or into the folder.
    flags.pop("config", None)
    chosen = flags.pop("config-dir", "")
    if chosen and not _exists(root, f"{folder}/20-cli-config-dir"):
        folder = chosen
    return Sources(
        flags,
        file if _exists(root, file) else "",
        folder if os.path.isdir(os.path.join(root, folder.lstrip("/"))) else "",
        place,
    )


def _kubelet_arguments(defaults: Mapping[str, str], arguments: Sequence[str]) -> dict[str, str]:
    """The kubelet's flags: an argument replaces the default, one with a + or - after its name adds to it."""
    words = list[str]()
    given = set[str]()
    for argument in arguments:
        written, found, value = argument.removeprefix("--").partition("=")
        name = written.rstrip("+-")
        if written != name and name in defaults:
            pairs = (defaults[name], value) if written.endswith("+") else (value, defaults[name])
            value = ",".join(pairs)
        given.add(name)
        words.append(f"--{name}={value if found else 'true'}")
    return parse_flags(
        [*(f"--{name}={value}" for name, value in defaults.items() if name not in given), *words]
    )


def _own_flags(words: Sequence[str]) -> dict[str, list[str]]:
    """All values of each flag of k3s' own, in order."""
    flags = dict[str, list[str]]()
    for number, word in enumerate(words):
        if not word.startswith("-") or not word.strip("-"):
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not equals:
            following = words[number + 1] if number + 1 < len(words) else "-"
            value = "true" if following.startswith("-") and name != "kubelet-arg" else following
        flags.setdefault({"c": "config", "d": "data-dir"}.get(name, name), []).append(value)
    return flags


def _settings(path: str, root: str) -> dict[str, Any]:
    """The settings of a configuration file and its folder: a later file replaces, a key with a + adds."""
    inside = os.path.join(root, path.lstrip("/"))
    paths = [inside] if os.path.exists(inside) else []
    with suppress(FileNotFoundError):
        paths += [
            f"{inside}.d/{name}"
            for name in sorted(os.listdir(f"{inside}.d"))
            if name.endswith((".yaml", ".yml"))
        ]
    settings = dict[str, Any]()
    for each in paths:
        data = read_bytes(each)
        for key, value in (document_fields(data, each, "settings") if data.strip() else {}).items():
            name = key.removesuffix("+")
            settings[name] = [*_texts(settings.get(name)), *_texts(value)] if key.endswith("+") else value
    return settings


def _unit_words(unit: str, name: str, root: str) -> list[str]:
    """The command line in a unit's file and drop-ins, without the program; the last ``ExecStart=`` counts."""
    line = ""
    for text in _unit_texts(unit, root):
        joined = text.replace("\\\r\n", " ").replace("\\\n", " ")
        for each in joined.splitlines():
            key, equals, value = each.partition("=")
            if equals and key.strip() == "ExecStart":
                line = value.strip().lstrip("-@:+!")
    words = _split(line)
    return words[1:] if words and os.path.basename(words[0]).startswith(name) else []


def _unit_texts(unit: str, root: str) -> Iterator[str]:
    if not unit:
        return
    for folder in UNIT_FOLDERS:
        with suppress(OSError):
            yield read_bytes(os.path.join(root, folder, unit)).decode("utf-8", "replace")
            break
    for folder in reversed(UNIT_FOLDERS):
        inside = os.path.join(root, folder, f"{unit}.d")
        with suppress(OSError):
            for name in sorted(os.listdir(inside)):
                if name.endswith(".conf"):
                    yield read_bytes(os.path.join(inside, name)).decode("utf-8", "replace")


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a quotation mark without its partner
        return line.split()


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [_text(each) for each in value]
    return [_text(value)]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _last(values: Sequence[str], otherwise: str) -> str:
    return values[-1] if values else otherwise


def _exists(root: str, path: str) -> bool:
    return os.path.exists(os.path.join(root, path.lstrip("/")))
