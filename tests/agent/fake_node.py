"""A fake node is a tree of files: /proc, cgroups and manifests, and an agent whose clock the test moves."""

import json
import os
import pathlib
import uuid
from typing import Any

import msgspec

from overbook.agent.agent import Agent
from overbook.agent.settings import AgentSettings
from overbook.agent.source import ManifestDirectory
from overbook.core.overcommit.swap import SWAP_ANNOTATION
from overbook.core.pressure.decision import Decision
from overbook_sandbox.fakes.kernel_files import (
    build_tree,
    container_files,
    container_path,
    make_cgroup,
    make_node,
)

MI = 1 << 20
GI = 1 << 30


def uid_of(name: str) -> str:
    """Return the UID of a name, always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def manifest(
    name: str,
    /,
    *,
    request: str = "256Mi",
    limit: str | None = None,
    cpu: str | None = None,
    virtual: bool = True,
    uid: str | None = None,
    swap: str | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    """Return the manifest of a pod of one container, by default a virtual machine's."""
    owner = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "name": name,
        "uid": uid_of(f"vmi-{name}"),
        "controller": True,
    }
    resources: dict[str, Any] = {"requests": {"memory": request}}
    if limit:
        resources["limits"] = {"memory": limit}
    if cpu:
        resources["requests"]["cpu"] = cpu
        resources.setdefault("limits", {})["cpu"] = cpu
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "demo",
            "uid": uid_of(name) if uid is None else uid,
            "annotations": {SWAP_ANNOTATION: swap} if swap else {},
            "ownerReferences": [owner] if virtual else [],
            **metadata,
        },
        "spec": {"containers": [{"name": "compute", "image": "x", "resources": resources}]},
    }


class FakeNode:
    """A node with 1 GiB of RAM and 512 MiB of swap, without pods.

    Args:
        folder: an empty directory.
        node: as :func:`make_node`.
    """

    def __init__(self, folder: pathlib.Path, **node: Any) -> None:
        self.root = folder / "root"
        self.manifests = folder / "pods"
        self.now = 1000.0
        self.sizes = {
            "mem_total_bytes": GI,
            "mem_available_bytes": GI // 2,
            "swap_total_bytes": 512 * MI,
            "swap_free_bytes": 512 * MI,
        }
        self.set(**node)
        self.manifests.mkdir()

    def set(self, **node: Any) -> None:
        """Change the node's own files."""
        self.sizes.update(node)
        make_node(self.root, **self.sizes)  # type: ignore[arg-type]  # sizes and counters by their names

    def describe(self, name: str, /, **pod: Any) -> pathlib.Path:
        """Publish a manifest."""
        path = self.manifests / f"{name}.json"
        path.write_text(json.dumps(manifest(name, **pod)))
        return path

    def run(self, name: str, number: int = 0, runtime: Any = "cri-containerd", **files: Any) -> str:
        """Make the cgroup of a pod's container and return its path."""
        path = container_path(uid_of(name), f"{number:064x}", runtime=runtime)
        make_cgroup(self.root, path, container_files(**files))
        return path

    def start(self, name: str, **files: Any) -> str:
        """Publish a pod's manifest and make its cgroup, with the manifest's defaults."""
        self.describe(name)
        return self.run(name, **files)

    def file(self, path: str, name: str) -> pathlib.Path:
        """Return the path of a file of a cgroup."""
        return self.root / "sys/fs/cgroup" / path / name

    def limit(self, path: str) -> str:
        """Read a cgroup's ``memory.swap.max``."""
        return self.file(path, "memory.swap.max").read_text().strip()

    def agent(self, **settings: Any) -> Agent:
        """Make an agent on this node."""
        chosen = AgentSettings(fsroot=str(self.root), manifests=str(self.manifests), listen="")
        source = ManifestDirectory(str(self.manifests))
        return Agent(msgspec.structs.replace(chosen, **settings), source, self.clock, self.clock)

    def clock(self) -> float:
        """Return the seconds, which only :meth:`tick` moves."""
        return self.now

    def tick(self, agent: Agent, seconds: float = 1.0) -> Decision | None:
        """Let time pass and run the agent's tick."""
        self.now += seconds
        return agent.tick()

    def everything(self) -> dict[str, bytes]:
        """Return every file below the root, with its content."""
        return {
            os.path.join(directory, name): pathlib.Path(directory, name).read_bytes()
            for directory, _, names in os.walk(self.root)
            for name in names
        }

    def build(self, tree: dict[str, object]) -> None:
        """Add files to the node."""
        build_tree(self.root, tree)
