"""The sources of the agent's pods: the interface, a directory of manifests, and the cluster."""

import logging
import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final, Protocol

import msgspec

from overbook.agent.bridge import Bridge
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import ObjectMeta, Pod, convert
from overbook.core.overcommit.namespace import OUTDATED, outdated_word
from overbook.core.say_once import SayOnce
from overbook.kube.files.manifests import kind_of, read_file

log = logging.getLogger(__name__)

MOST_FILES: Final = 10_000
"""The most files in a directory. A node runs a few hundred pods, so one with more files is a mistake."""
FEW_FILES: Final = 50
LOOKS: Final = 5
ENDINGS: Final = (".yaml", ".yml", ".json")


class PodSource(Protocol):
    """The interface of a source of this node's pods."""

    @property
    def pods(self) -> Mapping[str, Pod]:
        """The pods by UID."""

    @property
    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """The labels of namespaces by name, where they are known."""

    def refresh(self) -> bool:
        """Look again; returns whether anything changed."""


class _Namespace(msgspec.Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()


class _File(msgspec.Struct, frozen=True):
    """The content of a manifest file when it was last readable."""

    signature: tuple[int, int, int]
    pods: tuple[Pod, ...] = ()
    namespaces: tuple[tuple[str, dict[str, str]], ...] = ()


class ManifestDirectory:
    """Reads pods from the YAML and JSON files of a directory, again when a file changes.

    A file that cannot be read keeps its pods: a half-written file must not take a pod's swap away.

    Args:
        path: the directory.

    Raises:
        InvalidInput: the path is not a directory.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._files: dict[str, _File] = {}
        self._changed_ns = 0
        self._looks = 0
        self._complaints = SayOnce(partial(log.warning, "manifests: %s"))
        self.pods: Mapping[str, Pod] = {}
        self.namespaces: Mapping[str, Mapping[str, str]] = {}
        if not os.path.isdir(path):
            raise InvalidInput("--manifests", path, "a directory of pod manifests")
        self.refresh()

    def refresh(self) -> bool:
        """Read the files that changed since the last look; returns whether anything changed.

        In a directory of many files a change in place is noticed only every :data:`LOOKS` looks. A file that
        is new, removed or replaced by a rename is noticed at once.
        """
        if not self._worth_listing():
            return False
        found = dict(self._listed())
        if found == {name: file.signature for name, file in self._files.items()}:
            return False
        self._files = {name: self._read(name, signature) for name, signature in found.items()}
        self._complaints.keep_only(found.keys() | {self._path})
        pods: dict[str, Pod] = {}
        owners: dict[str, str] = {}
        for name, file in sorted(self._files.items()):
            for pod in file.pods:
                uid = pod.metadata.uid or ""
                if uid in pods:
                    self._complain(name, f"Pod {pod.label} has the UID of one in {owners[uid]}; ignored")
                    continue
                pods[uid], owners[uid] = pod, name
        self.pods = pods
        self.namespaces = {key: value for file in self._files.values() for key, value in file.namespaces}
        return True

    def _worth_listing(self) -> bool:
        """Whether there are few files, or the directory itself changed, or it is time to look anyway."""
        self._looks += 1
        try:
            changed_ns = os.stat(self._path).st_mtime_ns
        except OSError:
            return True  # listing the directory then reports the error
        worth = changed_ns != self._changed_ns or len(self._files) <= FEW_FILES or self._looks % LOOKS == 0
        self._changed_ns = changed_ns
        return worth

    def _listed(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        try:
            with os.scandir(self._path) as entries:
                for count, entry in enumerate(entries):
                    if count >= MOST_FILES:
                        self._complain(self._path, f"more than {MOST_FILES} entries; the rest is ignored")
                        return
                    if entry.name.endswith(ENDINGS) and not entry.name.startswith("."):
                        try:
                            status = entry.stat()
                        except OSError:
                            continue  # gone between the listing and the look
                        yield entry.name, (status.st_ctime_ns, status.st_size, status.st_ino)
        except OSError as error:
            self._complain(self._path, f"cannot be listed ({error.strerror}); keeping the pods known so far")
            for name, file in self._files.items():
                yield name, file.signature

    def _read(self, name: str, signature: tuple[int, int, int]) -> _File:
        known = self._files.get(name)
        if known is not None and known.signature == signature:
            return known
        pods: list[Pod] = []
        namespaces: list[tuple[str, dict[str, str]]] = []
        try:
            for document in read_file(os.path.join(self._path, name)):
                kind = kind_of(document)
                if kind == "Pod":
                    # A long list of pods is decoded already.
                    manifest = document.manifest
                    pod = manifest if isinstance(manifest, Pod) else convert(manifest, Pod, f"{name}: Pod")
                    if not pod.metadata.uid:
                        self._complain(name, f"Pod {pod.label} has no metadata.uid; ignored")
                        continue
                    pods.append(pod)
                elif kind == "Namespace":
                    namespace = convert(document.manifest, _Namespace, f"{name}: Namespace").metadata
                    namespaces.append((namespace.name, dict(namespace.labels or {})))
                    if outdated_word(namespace.labels, namespace.annotations) is not None:
                        log.warning("%s: Namespace %s: %s", name, namespace.name, OUTDATED)
        except (InvalidInput, OSError) as error:
            self._complain(name, f"{error}; keeping its last content")
            held = known or _File(signature)
            return _File(signature, held.pods, held.namespaces)
        self._complaints.over(name)
        return _File(signature, tuple(pods), tuple(namespaces))

    def _complain(self, name: str, complaint: str) -> None:
        self._complaints(f"{name}: {complaint}", about=name)


class KubePods:
    """Takes pods from the bridge, by the UID of their cgroups. The pods last known stay in use.

    Args:
        bridge: where the API's thread leaves the pods.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self.pods: Mapping[str, Pod] = {}
        self.namespaces: Mapping[str, Mapping[str, str]] = bridge.news.namespaces

    def refresh(self) -> bool:
        """Take new pods from the bridge; returns whether there were any."""
        news = self._bridge.news
        pods = news.pods if news.pods is not None else self.pods
        if pods is self.pods and news.namespaces is self.namespaces:
            return False
        self.pods, self.namespaces = pods, news.namespaces
        return True
