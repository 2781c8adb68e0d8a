"""The pods and containers of a node, found in its cgroup tree.

A cgroup directory has some eighty files, so listing every pod and container again costs more than reading
their memory. `PodScanner` therefore lists a directory again only if its subdirectories may have changed. This
is sound only for these reasons:

- The link count of a kernfs directory is 2 plus the number of its subdirectories, computed at each stat
  (kernel fs/kernfs/inode.c `kernfs_refresh_inode`). ext4 and tmpfs, where tests live, count likewise; a file
  system that does not count reports 1, and is then always listed.
- An inode number is never given to another cgroup while the node is up (kernfs ids count upwards).
- So if the count is unchanged and every known subdirectory still has its inode, there can be no subdirectory
        that is not known.

Most of that work is one stat for each container. A caller that reads every container through open descriptors
notices removed ones anyway: the read fails. It can pass `look_every=N` to check a pod's subdirectories only
every Nth scan, and call `PodScanner.forget(path)` after a failed read.

The modification time would be cheaper but is not sound: kernfs keeps it only for directories whose attributes
were set from user space. The count alone is not sound either: it is unchanged when a container restarts.
"""

import os
from collections.abc import Iterator

import msgspec

from overbook.kernel.cgroup_directory import CGROUP_MOUNT
from overbook.kernel.files import KernelFileError, MissingKernelFile, open_directory, subdirectories, under
from overbook.kernel.kubepods_names import (
    QosClass,
    is_kubepods_directory,
    parse_container_directory,
    parse_pod_directory,
    parse_qos_directory,
)

# crun puts the container's processes into a child of the scope that the runtime made.
_CRUN_LEAF = "container"
_KUBEPODS_DEPTH = 4
_YOUNG_SCANS = 10
_NEVER_KUBEPODS = (".scope", ".service", ".mount", ".socket", ".swap", ".automount")
_OTHER_SLICES = frozenset({"system.slice", "user.slice", "machine.slice"})
# A node runs some hundreds of pods. Many more directories mean that something leaks cgroups.
DIRECTORY_LIMIT = 50_000


class ContainerCgroup(msgspec.Struct, frozen=True, gc=False):
    """A container's cgroup.

    Attributes:
        id: The container's id.
        runtime: "cri-containerd", "crio", ...; None if the directory's name does not contain it.
        path: Relative to the cgroup root.
        leaf_path: The cgroup of its processes: `path`, or with crun a child of it.
        inode: The inode of `path`; a cgroup with the same name and another inode is another cgroup.
    """

    id: str
    runtime: str | None
    path: str
    leaf_path: str
    inode: int


class PodCgroup(msgspec.Struct, frozen=True):
    """A pod's cgroup, perhaps without containers: the directories of ended pods can stay for a while.

    Attributes:
        uid: The pod's uid; for a static pod the hash of its manifest.
        qos_class: The class, from the cgroup's place in the tree.
        path: Relative to the cgroup root.
        inode: The inode of `path`.
        containers: The containers, with the pod's sandbox if that has a cgroup.
    """

    uid: str
    qos_class: QosClass
    path: str
    inode: int
    containers: tuple[ContainerCgroup, ...] = ()


class _Known(msgspec.Struct):
    """A pod as last listed, with the values that must be unchanged for the listing to be still valid."""

    pod: PodCgroup
    links: int
    # (name, inode, links, leaf inode or 0) of every subdirectory, containers or not
    children: tuple[tuple[str, int, int, int], ...]
    listed_in: int  # number of the scan


class PodScanner:
    """A scanner that finds all pods, and remembers them so that the next scan is cheap.

    Args:
        root: The file-system root that has /sys/fs/cgroup below it.
        directory_limit: The most directories that a scan may find.
        look_every: Check the known subdirectories of a pod in every Nth scan only. More than 1 is for callers
            that read them all after each scan, see above; young pods are checked in every scan.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "/",
        *,
        directory_limit: int = DIRECTORY_LIMIT,
        look_every: int = 1,
    ) -> None:
        self._mount = under(root, CGROUP_MOUNT)
        self._directory_limit = directory_limit
        self._look_every = look_every
        self._scans = 0
        self._known: dict[str, _Known] = {}
        self._met = 0
        self.class_paths: tuple[tuple[str, QosClass], ...] = ()
        """The directories that the last scan searched, each with its QoS class; kubepods is Guaranteed."""

    def scan(self) -> tuple[PodCgroup, ...]:
        """All present pods, ordered by path. Directories that vanish during the scan are left out.

        Pods that did not change are the same objects as in the last scan.

        Raises:
            MissingKernelFile: There is no cgroup tree below the root.
            KernelFileError: The tree cannot be read, or has more directories than the limit.
        """
        self._met = 0
        self._scans += 1
        known: dict[str, _Known] = {}
        root_fd = open_directory(self._mount)
        parents: list[tuple[str, QosClass]] = []
        try:
            for path, qos_class in self._pod_parents(root_fd):
                parents.append((path, qos_class))
                try:
                    self._scan_parent(root_fd, path, qos_class, known)
                except MissingKernelFile:
                    continue
        finally:
            os.close(root_fd)
        self._known = known
        self.class_paths = tuple(parents)
        return tuple(known[path].pod for path in sorted(known))

    def forget(self, path: str) -> None:
        """Make the next scan list a pod's directory again."""
        self._known.pop(path, None)

    def _looked_at(self, known: _Known) -> bool:
        """Whether this scan checks a pod's known subdirectories."""
        young = self._scans - known.listed_in <= _YOUNG_SCANS
        return young or (self._scans + known.pod.inode) % self._look_every == 0

    def _pod_parents(self, root_fd: int) -> Iterator[tuple[str, QosClass]]:
        """The directories that hold pods, each with the QoS class of its pods."""
        for kubepods in self._find_kubepods(root_fd, "", 1):
            yield kubepods, "Guaranteed"
            for name, _ in self._list_vanishing(root_fd, kubepods):
                qos_class = parse_qos_directory(name)
                if qos_class is not None:
                    yield f"{kubepods}/{name}", qos_class

    def _find_kubepods(self, root_fd: int, path: str, depth: int) -> Iterator[str]:
        for name, _ in self._list_vanishing(root_fd, path) if path else self._list(root_fd, "."):
            below = f"{path}/{name}" if path else name
            if is_kubepods_directory(name):
                yield below
            elif depth < _KUBEPODS_DEPTH and not name.endswith(_NEVER_KUBEPODS) and name not in _OTHER_SLICES:
                yield from self._find_kubepods(root_fd, below, depth + 1)

    def _scan_parent(self, root_fd: int, path: str, qos_class: QosClass, known: dict[str, _Known]) -> None:
        fd = open_directory(path, root_fd)
        try:
            for name, inode in self._subdirectories(fd, path):
                pod_path = f"{path}/{name}"
                last = self._known.get(pod_path)
                if (
                    last is None
                    or last.pod.inode != inode
                    or not _unchanged(fd, name, last, look=self._looked_at(last))
                ):
                    pod_name = parse_pod_directory(name)
                    if pod_name is None:
                        continue
                    pod = PodCgroup(pod_name.uid, pod_name.qos_class or qos_class, pod_path, inode)
                    try:
                        last = self._scan_pod(fd, name, pod)
                    except MissingKernelFile:
                        continue
                else:
                    self._count(len(last.children))
                known[pod_path] = last
        finally:
            os.close(fd)

    def _scan_pod(self, parent_fd: int, name: str, pod: PodCgroup) -> _Known:
        fd = open_directory(name, parent_fd)
        try:
            # Counted before the listing: a directory made in between does not match, and the next scan finds
            # it.
            links = os.fstat(fd).st_nlink
            containers: list[ContainerCgroup] = []
            children: list[tuple[str, int, int, int]] = []
            for child, inode in self._subdirectories(fd, pod.path):
                status = _stat(child, fd)
                if status is None or status.st_ino != inode:
                    links = 0  # replaced meanwhile: list it again next time
                    continue
                container = parse_container_directory(child)
                leaf = None
                if container is not None:
                    leaf = _stat(f"{child}/{_CRUN_LEAF}", fd) if status.st_nlink != 2 else None
                    path = f"{pod.path}/{child}"
                    leaf_path = f"{path}/{_CRUN_LEAF}" if leaf else path
                    containers.append(
                        ContainerCgroup(container.id, container.runtime, path, leaf_path, inode)
                    )
                children.append((child, inode, status.st_nlink, leaf.st_ino if leaf else 0))
        finally:
            os.close(fd)
        containers.sort(key=lambda container: container.path)
        whole = msgspec.structs.replace(pod, containers=tuple(containers))
        return _Known(whole, links, tuple(children), self._scans)

    def _list_vanishing(self, root_fd: int, path: str) -> list[tuple[str, int]]:
        try:
            return self._list(root_fd, path)
        except MissingKernelFile:
            return []

    def _list(self, root_fd: int, path: str) -> list[tuple[str, int]]:
        fd = open_directory(path, root_fd)
        try:
            return [] if os.fstat(fd).st_nlink == 2 else self._subdirectories(fd, path)
        finally:
            os.close(fd)

    def _subdirectories(self, fd: int, path: str) -> list[tuple[str, int]]:
        found = subdirectories(fd, path)
        self._count(len(found))
        return found

    def _count(self, directories: int) -> None:
        self._met += directories
        if self._met > self._directory_limit:
            problem = f"has more than {self._directory_limit} directories for pods and containers"
            raise KernelFileError(self._mount, f"{problem}: something leaks cgroups")


def _unchanged(parent_fd: int, name: str, known: _Known, *, look: bool) -> bool:
    """Whether a pod has as many subdirectories as before; with `look`, the same ones with the same leaves."""
    stat = os.stat
    try:
        links = stat(name, dir_fd=parent_fd, follow_symlinks=False).st_nlink
        if links != known.links or links != 2 + len(known.children):
            return False
        if not look:
            return True
        for child, inode, links, leaf_inode in known.children:
            path = f"{name}/{child}"
            status = stat(path, dir_fd=parent_fd, follow_symlinks=False)
            if status.st_ino != inode or status.st_nlink != links:
                return False
            if links != 2:
                leaf = _stat(f"{path}/{_CRUN_LEAF}", parent_fd)
                if (leaf.st_ino if leaf else 0) != leaf_inode:
                    return False
    except OSError:
        return False
    return True


def _stat(path: str, dir_fd: int) -> os.stat_result | None:
    try:
        return os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return None
