"""Pods whose processes are not in a container's cgroup below kubepods, and the place where they are instead.

Three known causes: the kubelet and the runtime use different cgroup drivers, so that the runtime makes
`system.slice/kubepods-burstable-pod<uid>.slice:cri-containerd:<id>`; Kata makes `kata_<id>` for a whole
sandbox, with or without the pod's own directory above it; a rootless kubelet has its kubepods below
`user.slice`. In all of them the names of the directories contain the pod's uid or a container's id.

The kubelet makes a pod's directory in any case, and directories of ended pods stay for a while. So a
directory counts only for the memory and the processes in it.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

import msgspec

from overbook.kernel.cgroup import parse_populated
from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.kernel.files import KernelFileError, open_directory, read_file, subdirectories, under
from overbook.kernel.flat_keyed import parse_value
from overbook.kernel.kubepods import DIRECTORY_LIMIT, PodCgroup, PodScanner
from overbook.kernel.kubepods_names import parse_container_directory, parse_pod_directory

_DEPTH_LIMIT: Final = 12
_PROCESS_LIMIT: Final = 50_000
_NO_PROCESSES: Final = (".mount", ".automount", ".swap", ".socket", ".timer")
# "pod", the uid with dashes or underscores, and no other letter or digit after it.
_UID: Final = re.compile(
    r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})(?![0-9a-zA-Z])"
)
_STATIC_UID: Final = re.compile(r"pod([0-9a-f]{32})(?![0-9a-zA-Z])")
_CONTAINER_ID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_CGROUP2_LINE: Final = re.compile(rb"^0::([^\n]*)$", re.MULTILINE)


class Misplaced(msgspec.Struct, frozen=True, gc=False):
    """A pod that has no container cgroup in use, and the place of its processes.

    Attributes:
        uid: The pod's uid.
        path: The cgroup in which its processes are, relative to the cgroup root.
        memory_bytes: Its `memory.current`; None where there is none.
        populated: Whether there are processes in it, as far as that can be read.
    """

    uid: str
    path: str
    memory_bytes: int | None = None
    populated: bool = False


def find_misplaced(
    root: str | os.PathLike[str] = "/",
    uids: Collection[str] | None = None,
    *,
    containers: Mapping[str, str] | None = None,
    directory_limit: int = DIRECTORY_LIMIT,
) -> tuple[Misplaced, ...]:
    """The pods whose processes are elsewhere than in a container's cgroup, ordered by uid.

    This looks at every cgroup of the node, so it is for a look now and then, not for every tick.

    Args:
        root: The file-system root that has /sys/fs/cgroup and /proc below it.
        uids: The pods to look for; None: all whose uid is the name of a cgroup.
        containers: The uid of its pod for each known container id, for places whose names have no uid.
        directory_limit: The most directories that are looked at.

    Raises:
        KernelFileError: There is no cgroup tree below the root, or it has more directories than the limit.
    """
    known = dict(containers or {})
    scanned = PodScanner(root, directory_limit=directory_limit).scan()
    search = _Search(under(root, CGROUP_MOUNT), scanned, known, directory_limit)
    found: dict[str, list[Misplaced]] = {}
    for place in search.places():
        if uids is None or place.uid in uids:
            found.setdefault(place.uid, []).append(place)
    in_place = _in_place(search, scanned)
    misplaced = {
        uid: max(places, key=_weight)
        for uid, places in found.items()
        if _weight(max(places, key=_weight)) > in_place.get(uid, (False, 0))
    }
    if uids is not None:
        missing = {uid for uid in uids if uid not in misplaced and uid not in in_place}
        if missing:
            misplaced |= _by_processes(root, missing, known)
    return tuple(misplaced[uid] for uid in sorted(misplaced))


def one_of_each(pods: Collection[PodCgroup], root: str | os.PathLike[str] = "/") -> dict[str, PodCgroup]:
    """The pods by uid; of several directories of one pod the one that is in use.

    After a change of the cgroup driver or the cgroup root the old directories stay, perhaps with containers
    that have ended.
    """
    chosen: dict[str, PodCgroup] = {}
    for pod in pods:
        other = chosen.get(pod.uid)
        if other is None or _use(pod, root) > _use(other, root):
            chosen[pod.uid] = pod
    return chosen


def _use(pod: PodCgroup, root: str | os.PathLike[str]) -> tuple[bool, bool, int]:
    mount = under(root, CGROUP_MOUNT)
    populated = any(_populated(mount, container.path) for container in pod.containers)
    return (bool(pod.containers), populated, _memory(mount, pod.path) or 0)


class _Search:
    """A walk through the cgroup tree, past what `PodScanner` knows."""

    def __init__(
        self, mount: str, scanned: Collection[PodCgroup], containers: Mapping[str, str], limit: int
    ) -> None:
        self.mount = mount
        self._pods = {pod.path: pod for pod in scanned}
        self._containers = containers
        self._limit = limit
        self._met = 0

    def places(self) -> Iterator[Misplaced]:
        """Every directory that is a pod's by its name and is in use, without the containers' own ones."""
        fd = open_directory(self.mount)
        try:
            yield from self._below(fd, "", 1)
        finally:
            os.close(fd)

    def weigh(self, uid: str, path: str) -> Misplaced:
        """The directory with what is in it."""
        return Misplaced(uid, path, _memory(self.mount, path), _populated(self.mount, path))

    def _below(self, fd: int, path: str, depth: int) -> Iterator[Misplaced]:
        for name in self._names(fd, path):
            below = f"{path}/{name}" if path else name
            pod = self._pods.get(below)
            if pod is not None:
                yield from self._strangers(fd, name, pod)
                continue
            uid = self._uid_in(name)
            if uid is not None:
                place = self.weigh(uid, below)
                if place.populated or place.memory_bytes:
                    yield place
            elif depth < _DEPTH_LIMIT and not name.endswith(_NO_PROCESSES):
                try:
                    child = open_directory(name, fd)
                except KernelFileError:
                    continue
                try:
                    yield from self._below(child, below, depth + 1)
                finally:
                    os.close(child)

    def _strangers(self, parent_fd: int, name: str, pod: PodCgroup) -> Iterator[Misplaced]:
        """The directories in a pod's own one that are no container's, such as `kata_<id>`."""
        try:
            fd = open_directory(name, parent_fd)
        except KernelFileError:
            return
        try:
            for child in self._names(fd, pod.path):
                if parse_container_directory(child) is None and "conmon" not in child:
                    place = self.weigh(pod.uid, f"{pod.path}/{child}")
                    if place.populated or place.memory_bytes:
                        yield place
        finally:
            os.close(fd)

    def _names(self, fd: int, path: str) -> list[str]:
        try:
            found = subdirectories(fd, f"{self.mount}/{path}")
        except KernelFileError:
            return []
        self._met += len(found)
        if self._met > self._limit:
            problem = f"has more than {self._limit} directories: something leaks cgroups"
            raise KernelFileError(self.mount, problem)
        return [name for name, _ in found]

    def _uid_in(self, name: str) -> str | None:
        if name.endswith(_NO_PROCESSES) or "conmon" in name:
            return None
        return uid_in(name, self._containers)


def uid_in(name: str, containers: Mapping[str, str]) -> str | None:
    """The uid of the pod that a directory's name, or a path, is about; None: it is about no pod.

    Args:
        name: The name or path.
        containers: The uid of its pod for each known container id.
    """
    match = _UID.search(name) or _STATIC_UID.search(name)
    if match is not None:
        return match[1].replace("_", "-")
    parsed = parse_pod_directory(name)
    if parsed is not None and name.endswith(".slice"):
        return parsed.uid
    for each in _CONTAINER_ID.findall(name) if containers else ():
        if each in containers:
            return containers[each]
    return None


def _in_place(search: _Search, scanned: Collection[PodCgroup]) -> dict[str, tuple[bool, int]]:
    """Of each pod with containers the weight of what is in them.

    Between two places with processes, or two without, the container's cgroup counts, whatever the sizes are.
    """
    found: dict[str, tuple[bool, int]] = {}
    for pod in scanned:
        for container in pod.containers:
            populated, size = _weight(search.weigh(pod.uid, container.path))
            weight = (populated, 1 << 62 if populated or size else 0)
            found[pod.uid] = max(found.get(pod.uid, (False, 0)), weight)
    return found


def _weight(place: Misplaced) -> tuple[bool, int]:
    return place.populated, place.memory_bytes or 0


def _populated(mount: str, path: str) -> bool:
    file = f"{mount}/{path}/cgroup.events"
    try:
        return parse_populated(read_file(file), file)
    except KernelFileError:
        return False


def _memory(mount: str, path: str) -> int | None:
    file = f"{mount}/{path}/memory.current"
    try:
        return parse_value(read_file(file), file)
    except KernelFileError:
        return None


def _by_processes(
    root: str | os.PathLike[str], uids: Collection[str], containers: Mapping[str, str]
) -> dict[str, Misplaced]:
    """Where the processes of these pods are by their own account: the cgroup tree may not be shown whole."""
    found: dict[str, Misplaced] = {}
    proc = under(root, "/proc")
    try:
        pids = [name for name in os.listdir(proc) if name.isdigit()][:_PROCESS_LIMIT]
    except OSError:
        return found
    for pid in pids:
        file = f"{proc}/{pid}/cgroup"
        try:
            line = _CGROUP2_LINE.search(read_file(file))
        except KernelFileError:
            continue  # it ended
        if line is None:
            continue
        path = line[1].decode("utf-8", "backslashreplace")
        # For a reader in another cgroup namespace the path begins with /../..
        path = re.sub(r"^(?:/\.\.)*/", "", path)
        uid = uid_in(path, containers)
        if uid is not None and uid in uids and uid not in found and "conmon" not in path:
            found[uid] = Misplaced(uid, path, None, populated=True)
    return found
