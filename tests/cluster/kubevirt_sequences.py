"""Sequences of VMs, migrations and pods: as recorded with the real KubeVirt, and as the stand-in makes them.

Both become lists of states for each object, without names, times and UIDs: ``vmi db``, ``vmim db 0`` (the
first migration of that VM), ``pod db 1`` (its second pod).
"""

import asyncio
import json
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

from overbook.kube.api.client import Client
from overbook.kube.api.find_cluster import load_config
from overbook.kube.api.reflector import Reflector
from overbook_sandbox.kubevirt.documents import (
    EVACUATION_ANNOTATION,
    IN_PROGRESS_ANNOTATION,
    INSTANCES,
    MIGRATIONS,
    PODS,
    KubeVirtDocument,
)
from tests.conformance.test_vectors import VECTORS

RECORDED = VECTORS / "kubevirt-evictions"
GONE = "gone"
State = Any
Sequences = dict[str, list[State]]


class Recorder:
    """The states of a namespace's objects, one after the other, from watches.

    Args:
        kubeconfig: how the API server is reached.
        namespace: the namespace.
    """

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._seen: list[tuple[str, Any]] = []

    async def run(self, ready: Callable[[], None]) -> None:
        """Watch until cancelled."""
        client = Client(load_config(self._kubeconfig))
        kinds = ((INSTANCES, _vmi), (MIGRATIONS, _vmim), (PODS, _pod))
        reflectors = [
            Reflector(client, kind, namespace=self._namespace, on_change=self._noting(told))
            for kind, told in kinds
        ]
        try:
            async with asyncio.TaskGroup() as group:
                for reflector in reflectors:
                    group.create_task(reflector.run())
                for reflector in reflectors:
                    await reflector.wait_synced()
                ready()
        finally:
            await client.close()

    def sequences(self) -> Sequences:
        """Return what was seen until now."""
        return _sequences(list(self._seen))

    def _noting(
        self, told: Callable[[KubeVirtDocument], tuple[str, Any]]
    ) -> Callable[[str, KubeVirtDocument | None, KubeVirtDocument | None], None]:
        def note(_key: str, old: KubeVirtDocument | None, new: KubeVirtDocument | None) -> None:
            if new is not None:
                self._seen.append(told(new))
            elif old is not None:
                self._seen.append((told(old)[0], GONE))

        return note


def recorded(name: str) -> Sequences:
    """Return the states of a recorded file."""
    lines = json.loads((RECORDED / f"{name}.json").read_text())
    return _sequences([(line["what"], line["value"]) for line in lines if line.get("what")])


def recorded_names() -> list[str]:
    """Return the names of the recorded sequences; none where they do not lie beside the repository."""
    apart = {"answers", "webhooks", "migration-object-while-pending"}
    return sorted(path.stem for path in pathlib.Path(RECORDED).glob("*.json") if path.stem not in apart)


def missing(wanted: list[State], made: list[State]) -> State | None:
    """Return the first state that is not made after those before it; None: all are."""
    rest = iter(made)
    for state in wanted:
        if not any(each == state for each in rest):
            return state
    return None


def _sequences(seen: Iterable[tuple[str, Any]]) -> Sequences:
    """Replace names by their order, and leave repetitions out."""
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    homes: dict[str, str] = {}
    migrations: dict[str, list[str]] = {}
    made: Sequences = {}
    seen = list(seen)
    for what, value in seen:
        kind, _, name = what.partition(" ")
        if kind == "pod" and value != GONE and value["node"]:
            homes.setdefault(_vm_of(kind, name), value["node"])
    for what, value in seen:
        kind, _, name = what.partition(" ")
        if kind not in ("vmi", "vmim", "pod") or (kind == "pod" and not name.startswith("virt-launcher-")):
            continue
        vm = _vm_of(kind, name)
        if what not in names:
            number = counts.get(f"{kind} {vm}", 0)
            counts[f"{kind} {vm}"] = number + 1
            names[what] = f"vmi {vm}" if kind == "vmi" else f"{kind} {vm} {number}"
        if value == GONE:
            state: State = GONE
        else:
            state = _plain(kind, value, homes.get(vm, ""), migrations.setdefault(vm, []))
        if names[what] == f"pod {vm} 0" and state == ("Pending", "", False, None):
            continue  # tests choose the first node themselves
        known = made.setdefault(names[what], [])
        if not known or known[-1] != state:
            known.append(state)
    return made


def _vm_of(kind: str, name: str) -> str:
    if kind == "pod":
        return name.removeprefix("virt-launcher-").rpartition("-")[0]
    return name.partition("(")[2].removesuffix(")") if kind == "vmim" else name


def _plain(kind: str, value: dict[str, Any], home: str, migrations: list[str]) -> State:
    def place(node: str | None) -> str:
        return "" if not node else "home" if node == home else "away"

    if kind == "pod":
        return (value["phase"], place(value["node"]), value["del"], value["inprogress"])
    if kind == "vmim":
        state = value["state"] or {}
        flags = [name for name in ("completed", "failed", "abortRequested") if state.get(name)]
        told = [name for name in ("sourcePod", "targetNode", "endTimestamp") if state.get(name)]
        return (
            *(
                value["phase"],
                value["priority"],
                place(value["evac"]),
                value["del"],
                tuple(value["conditions"]),
            ),
            *(tuple(flags), tuple(told), state.get("failureReason", "")),
        )
    moving = value["mig"] or {}
    uid = moving.get("migrationUid")
    if uid and uid not in migrations:
        migrations.append(uid)
    number = migrations.index(uid) if uid else None
    flags = [name for name in ("completed", "failed", "abortRequested", "startTimestamp") if moving.get(name)]
    return (
        *(value["phase"], place(value["node"]), place(value["evac"]), value["del"], number, tuple(flags)),
        *(place(moving.get("targetNode")), moving.get("failureReason", "")),
    )


def _vmi(obj: KubeVirtDocument) -> tuple[str, Any]:
    status = obj.status
    return f"vmi {obj.metadata.name}", {
        "phase": obj.phase,
        "node": status.get("nodeName"),
        "evac": status.get("evacuationNodeName"),
        "del": bool(obj.metadata.deletion_timestamp),
        "mig": status.get("migrationState") or {},
    }


def _vmim(obj: KubeVirtDocument) -> tuple[str, Any]:
    holding = [each["type"] for each in obj.status.get("conditions") or () if each["status"] == "True"]
    return f"vmim {obj.metadata.name} ({obj.spec['vmiName']})", {
        "phase": obj.phase or None,
        "priority": obj.spec.get("priority"),
        "state": obj.status.get("migrationState") or {},
        "conditions": holding,
        "evac": obj.annotations.get(EVACUATION_ANNOTATION),
        "del": bool(obj.metadata.deletion_timestamp),
    }


def _pod(obj: KubeVirtDocument) -> tuple[str, Any]:
    return f"pod {obj.metadata.name}", {
        "phase": obj.phase,
        "node": obj.spec.get("nodeName"),
        "del": bool(obj.metadata.deletion_timestamp),
        "inprogress": obj.annotations.get(IN_PROGRESS_ANNOTATION),
    }
