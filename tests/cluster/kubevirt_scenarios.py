"""What was done to the real KubeVirt when its sequences were recorded, done to the stand-in.

Times are shorter: a pause of 20 s is one of 1 s.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from overbook.core.kubernetes.pod import ENDED
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.kubevirt.documents import (
    IN_PROGRESS_ANNOTATION,
    INSTANCES,
    MIGRATIONS,
    PODS,
    SUBRESOURCES,
)
from overbook_sandbox.kubevirt.stand_in import KubeVirtStandIn
from tests.cluster.guests import machine, seen
from tests.cluster.sync_client import ask, get, get_list
from tests.waiting import wait_for

MERGE = "application/merge-patch+json"
HOME = "hollow-1"


class Stage:
    """A namespace in which a scenario takes place.

    Args:
        cluster: the control plane.
        kubevirt: the stand-in.
        namespace: the namespace.
    """

    def __init__(self, cluster: ControlPlane, kubevirt: KubeVirtStandIn, namespace: str) -> None:
        self.cluster = cluster
        self.kubevirt = kubevirt
        self.namespace = namespace

    def send(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        data = None if body is None else json.dumps(body).encode()

        async def sent(client: Any) -> bytes:
            answer: bytes = await client.raw(method, path, body=data, content_type=kind)
            return answer

        text = ask(self.cluster.kubeconfig, sent)
        return json.loads(text) if text else None

    def start(self, *names: str, strategy: str | None = None, node: str = HOME, **annotations: str) -> None:
        """Start VMs, and wait until all run."""
        for name in names:
            pinned = {"pod_spec": json.dumps({"nodeName": node}), **annotations}
            manifest = machine(name, strategy=strategy, memory="1Gi", **pinned)
            self.send("POST", INSTANCES.path(None, self.namespace), manifest)
        for name in names:
            wait_for(partial(self._runs, name), f"{name} runs")

    def vmi(self, name: str) -> Any:
        found = get(self.cluster, INSTANCES, name, self.namespace)
        return {"status": {}, **found}

    def migrations(self, name: str) -> list[Any]:
        known = get_list(self.cluster, MIGRATIONS, self.namespace)
        listed = [{"status": {}, **each} for each in known if _is_of(each, name)]

        def order(migration: Any) -> tuple[str, bool]:
            # One that begins in the second in which the former one ended is younger than that one.
            created = str(migration["metadata"]["creationTimestamp"])
            return created, migration["status"].get("phase") not in ENDED

        return sorted(listed, key=order)

    def is_gone(self, migration: str) -> bool:
        return get(self.cluster, MIGRATIONS, migration, self.namespace) is None

    def pods(self, name: str) -> list[Any]:
        selector = f"vmi.kubevirt.io/id={name}"
        return get_list(self.cluster, PODS, self.namespace, selector)

    def evict(self, name: str, *, target: bool = False, requested_by: str = "test") -> str:
        """Evict the pod of a VM; return the refusal, or nothing."""
        at = self.vmi(name)["status"]["nodeName"]
        pod = next(each for each in self.pods(name) if (each["spec"].get("nodeName") == at) != target)
        meta = {"name": pod["metadata"]["name"], "namespace": self.namespace}
        annotated = {**meta, "annotations": {"requested-by": requested_by}}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": annotated}
        path = PODS.path(meta["name"], self.namespace, "eviction")
        try:
            self.send("POST", path, body)
        except Exception as error:  # noqa: BLE001 - its text is the result
            return str(error)
        return ""

    def phase(self, name: str, phase: str, number: int = 0) -> None:
        """Wait until a VM's migration, counted from 0, is in a phase."""

        def reached() -> bool:
            known = self.migrations(name)
            return len(known) > number and known[number]["status"].get("phase") == phase

        wait_for(reached, f"migration {number} of {name} is {phase}", seconds=60)

    def settled(self, *names: str) -> None:
        """Wait until a VM has moved, and its old pod is over."""
        for name in names:
            wait_for(partial(self._has_moved, name), f"{name} has moved")

    def _runs(self, name: str) -> bool:
        return bool(self.vmi(name)["status"].get("phase") == "Running")

    def _has_moved(self, name: str) -> bool:
        running = [pod for pod in self.pods(name) if pod["status"]["phase"] not in ENDED]
        over = all(each["status"].get("phase") in ENDED for each in self.migrations(name))
        return len(running) == 1 and over and "evacuationNodeName" not in self.vmi(name)["status"]

    def annotate(self, name: str, **annotations: str) -> None:
        prefixed = {
            f"sandbox.overbook.dev/{key.replace('_', '-')}": text for key, text in annotations.items()
        }
        path = INSTANCES.path(name, self.namespace)
        self.send("PATCH", path, {"metadata": {"annotations": prefixed}}, MERGE)

    def migrate(self, name: str, priority: str | None = None) -> None:
        """Migrate a VM as a user does, or as KubeVirt itself for another reason."""
        spec = {"vmiName": name} if priority is None else {"vmiName": name, "priority": priority}
        meta = {"name": f"{name}-user", "finalizers": ["kubevirt.io/migrationJobFinalize"]}
        body = {**_kind(MIGRATIONS), "metadata": meta, "spec": spec}
        self.send("POST", MIGRATIONS.path(None, self.namespace), body)

    def cancel(self, name: str) -> None:
        place = f"/apis/{SUBRESOURCES}/v1/namespaces/{self.namespace}/virtualmachineinstances/{name}"
        self.send("PUT", f"{place}/evacuate/cancel", {"evacuationNodeName": HOME})

    def delete(self, kind: Any, name: str) -> None:
        self.send("DELETE", kind.path(name, self.namespace))


def _is_of(migration: Any, name: str) -> bool:
    return bool(migration["spec"]["vmiName"] == name)


def _kind(kind: Any) -> dict[str, str]:
    return {"apiVersion": kind.api_version, "kind": kind.kind}


def migrates(stage: Stage) -> None:
    stage.start("db", migration_seconds="1")
    stage.evict("db")
    stage.settled("db")


def restarts(stage: Stage) -> None:
    stage.start("db", migration_seconds="2")
    stage.evict("db")
    stage.phase("db", "Running")
    stage.kubevirt.outage.controller = True
    stage.kubevirt.outage.controller = False
    stage.settled("db")


def controller_down(stage: Stage) -> None:
    stage.start("db")
    stage.kubevirt.outage.controller = True
    stage.evict("db")
    stage.kubevirt.outage.controller = False
    stage.settled("db")


def runs(stage: Stage) -> None:
    stage.start("db")


def deleted_before(stage: Stage) -> None:
    stage.start("db")
    stage.delete(INSTANCES, "db")
    wait_for(lambda: not stage.pods("db"), "it has gone")


def deleted_while_migrating(stage: Stage) -> None:
    stage.start("db", migration_outcome="Stalled")
    stage.evict("db")
    stage.phase("db", "Running")
    stage.delete(INSTANCES, "db")
    wait_for(lambda: not stage.pods("db"), "it has gone")
    stage.phase("db", "Failed")


def descheduler(stage: Stage) -> None:
    stage.start("db")
    stage.evict("db", requested_by="sigs.k8s.io/descheduler")
    stage.settled("db")


def drain(stage: Stage) -> None:
    limits = {"parallelMigrationsPerCluster": 2, "parallelOutboundMigrationsPerNode": 1}
    stage.kubevirt.configure({"evictionStrategy": "LiveMigrate", "migrations": limits})
    others = [f"b{number}" for number in range(5)]
    stage.start(*others, node="hollow-2", migration_outcome="Stalled")
    stage.start("a")
    stage.evict(others[0])
    stage.phase(others[0], "Running")
    for name in others[1:]:
        stage.evict(name)
        stage.phase(name, "Pending")
    stage.evict("a")
    stage.settled("a")
    for name in others:
        phase = stage.migrations(name)[0]["status"]["phase"]
        assert phase == ("Running" if name == "b0" else "Pending"), seen(stage.cluster, stage.namespace)
        stage.annotate(name, migration_outcome="Succeeded")
    stage.settled(*others)


def cancelled(stage: Stage) -> None:
    stage.start("db", migration_outcome="Stalled")
    stage.evict("db")
    stage.phase("db", "Running")
    stage.cancel("db")
    [migration] = stage.migrations("db")
    stage.delete(MIGRATIONS, migration["metadata"]["name"])
    wait_for(lambda: not stage.migrations("db"), "it is aborted")
    assert "evacuationNodeName" not in stage.vmi("db")["status"]
    wait_for(lambda: len([p for p in stage.pods("db") if p["status"]["phase"] == "Running"]) == 1, "one pod")
    stage.evict("db")
    stage.phase("db", "Running")


def target_pod(stage: Stage) -> None:
    stage.start("db", migration_seconds="2")
    stage.migrate("db")
    stage.phase("db", "Running")
    assert stage.evict("db", target=True).endswith("Eviction request for target Pod")
    stage.settled("db")


def external(stage: Stage) -> None:
    stage.start("db", strategy="External")
    stage.evict("db")
    wait_for(
        lambda: stage.pods("db")[0]["metadata"]["annotations"].get(IN_PROGRESS_ANNOTATION), "it is shown"
    )
    assert not stage.migrations("db")


def fails(stage: Stage) -> None:
    stage.start("db", migration_outcome="Failed", migration_seconds="0.2")
    stage.evict("db")
    for number in range(3):
        stage.phase("db", "Failed", number)
    stage.annotate("db", migration_outcome="Succeeded")
    stage.settled("db")


def moves_later(stage: Stage) -> None:
    stage.start("db", migration_outcome="Stalled")
    stage.evict("db")
    stage.phase("db", "Running")
    stage.annotate("db", migration_outcome="Succeeded")
    stage.settled("db")


def restarted_if_not_possible(stage: Stage) -> None:
    stage.start("db", strategy="LiveMigrateIfPossible", live_migratable="False")
    assert not stage.evict("db")
    wait_for(lambda: not stage.pods("db"), "it has gone")


def not_migratable(stage: Stage) -> None:
    stage.start("db", strategy="LiveMigrate", live_migratable="False")
    assert stage.evict("db").endswith("is not live-migratable")


def hotplug(stage: Stage) -> None:
    stage.start("db")
    stage.migrate("db", "user-triggered")
    stage.settled("db")


def migrating_already(stage: Stage) -> None:
    stage.start("db", migration_seconds="3")
    stage.migrate("db")
    stage.phase("db", "Running")
    stage.evict("db")
    stage.settled("db")


def never_ends(stage: Stage) -> None:
    stage.start("db", migration_outcome="Stalled")
    stage.evict("db")
    for _ in range(2):  # the next one comes at once
        stage.phase("db", "Running")
        [migration] = stage.migrations("db")
        stage.delete(MIGRATIONS, migration["metadata"]["name"])
        wait_for(partial(stage.is_gone, migration["metadata"]["name"]), "it is aborted")
    stage.phase("db", "Running")


def one_fails(stage: Stage) -> None:
    stage.start("f1", migration_outcome="Failed", migration_seconds="0.2")
    stage.start("good")
    stage.evict("f1")
    stage.phase("f1", "Failed", 1)
    stage.evict("good")
    stage.settled("good")
    stage.phase("f1", "Failed", 2)
    stage.delete(INSTANCES, "good")


def two_fail(stage: Stage) -> None:
    stage.start("f1", "f2", migration_outcome="Failed", migration_seconds="0.2")
    stage.start("good")
    for name in ("f1", "f2"):
        stage.evict(name)
    for number in (0, 1, 2, 3):
        for name in ("f1", "f2"):
            stage.phase(name, "Failed", number)


def ends(stage: Stage) -> None:
    stage.start("db", strategy="None")
    assert not stage.evict("db")
    wait_for(lambda: not stage.pods("db"), "it has gone")


def over_quota(stage: Stage) -> None:
    stage.start("db")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "one"}}
    path = f"/api/v1/namespaces/{stage.namespace}/resourcequotas"
    stage.send("POST", path, {**quota, "spec": {"hard": {"pods": "1"}}})
    wait_for(lambda: stage.send("GET", f"{path}/one")["status"].get("used", {}).get("pods") == "1", "a quota")
    stage.evict("db")
    wait_for(
        lambda: stage.migrations("db") and stage.migrations("db")[0]["status"].get("conditions"), "a word"
    )
    stage.phase("db", "Pending")


def unschedulable(stage: Stage) -> None:
    stage.start(
        "db", pod_spec=json.dumps({"nodeName": HOME, "nodeSelector": {"kubernetes.io/hostname": HOME}})
    )
    stage.kubevirt.pace.unschedulable_seconds = 3.0
    stage.evict("db")
    stage.phase("db", "Failed")
    stage.phase("db", "Scheduling", 1)


def api_down(stage: Stage) -> None:
    stage.start("db")
    stage.kubevirt.outage.api = "Refuses"
    assert "failed calling webhook" in stage.evict("db")
    assert "evacuationNodeName" not in stage.vmi("db")["status"]


def api_hangs(stage: Stage) -> None:
    stage.start("db")
    stage.kubevirt.outage.api = "Hangs"
    assert "failed calling webhook" in stage.evict("db")


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "blocked-by-an-abandoned-evacuation": runs,
    "controller-killed-meanwhile": migrates,
    "deleted-before": deleted_before,
    "deleted-while-migrating": deleted_while_migrating,
    "descheduler": descheduler,
    "drain-elsewhere-with-pending-migrations": drain,
    "evacuate-cancel": cancelled,
    "eviction-of-a-target-pod": target_pod,
    "external": external,
    "fails-and-is-retried": fails,
    "given-up-and-moves-later": moves_later,
    "if-possible-not-migratable": restarted_if_not_possible,
    "live-migrate-not-migratable": not_migratable,
    "memory-hotplug": hotplug,
    "migrates": migrates,
    "migrating-already": migrating_already,
    "never-ends": never_ends,
    "one-failing-then-another": one_fails,
    "strategy-none": ends,
    "target-rejected-by-quota": over_quota,
    "target-unschedulable": unschedulable,
    "two-failing-guests": two_fail,
    "virt-api-down": api_down,
    "virt-api-hangs": api_hangs,
    "virt-controller-down": controller_down,
    "virt-controller-restarts": restarts,
}
