from typing import Any

import pytest

from tests.explain.inputs import GI, explained, inventory, owned, pod, resources, workload

TEMPLATE = {"template": {"spec": resources(requests={"memory": "2Gi"})}}
JOB = {"completions": 1, **TEMPLATE}


def machine(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    domain = {"devices": {}, "memory": {"guest": "12Gi"}}
    spec = {**spec, "template": {"spec": {"domain": domain}}}
    return workload("VirtualMachine", "kubevirt.io/v1", "vm", spec, status=status or {})


def instance(phase: str) -> dict[str, Any]:
    domain = {"devices": {}, "memory": {"guest": "12Gi"}}
    return workload(
        "VirtualMachineInstance", "kubevirt.io/v1", "vm", {"domain": domain}, status={"phase": phase}
    )


@pytest.mark.parametrize(
    ("manifest", "left_out"),
    [
        (machine(runStrategy="Halted"), "stopped VirtualMachine"),
        (machine(running=False), "stopped VirtualMachine"),
        (machine(runStrategy="Manual"), "stopped VirtualMachine"),
        (machine({"printableStatus": "Stopped"}, runStrategy="RerunOnFailure"), "stopped VirtualMachine"),
        (machine({"printableStatus": "Stopped"}, runStrategy="Once"), "stopped VirtualMachine"),
        (instance("Succeeded"), "finished VirtualMachineInstance"),
        (instance("Failed"), "finished VirtualMachineInstance"),
        (
            workload(
                "Job", "batch/v1", "j", JOB, status={"conditions": [{"type": "Complete", "status": "True"}]}
            ),
            "finished Job",
        ),
        (
            workload(
                "Job", "batch/v1", "j", JOB, status={"conditions": [{"type": "Failed", "status": "True"}]}
            ),
            "finished Job",
        ),
        (
            workload("Job", "batch/v1", "j", JOB, status={"completionTime": "2026-01-01T00:00:00Z"}),
            "finished Job",
        ),
        (workload("Job", "batch/v1", "j", {**JOB, "suspend": True}), "suspended Job"),
        (workload("Job", "batch/v1", "j", {**JOB, "parallelism": 0}), "Job (parallelism 0)"),
        (
            workload("CronJob", "batch/v1", "c", {"suspend": True, "jobTemplate": {"spec": JOB}}),
            "suspended CronJob",
        ),
        (workload("Deployment", "apps/v1", "d", {"replicas": 0, **TEMPLATE}), "Deployment (0 replicas)"),
        (workload("StatefulSet", "apps/v1", "s", {"replicas": 0, **TEMPLATE}), "StatefulSet (0 replicas)"),
        (workload("ReplicaSet", "apps/v1", "r", {"replicas": 0, **TEMPLATE}), "ReplicaSet (0 replicas)"),
        (
            workload("DeploymentConfig", "apps.openshift.io/v1", "d", {"replicas": 0, **TEMPLATE}),
            "DeploymentConfig (0 replicas)",
        ),
        (
            workload("Rollout", "argoproj.io/v1alpha1", "r", {"replicas": 0, **TEMPLATE}),
            "Rollout (0 replicas)",
        ),
        (
            workload(
                "DaemonSet",
                "apps/v1",
                "d",
                TEMPLATE,
                status={"desiredNumberScheduled": 0, "observedGeneration": 1},
            ),
            "DaemonSet (it runs on no node)",
        ),
    ],
)
def test_an_object_without_pods_is_listed_and_not_summed(manifest: dict[str, Any], left_out: str) -> None:
    report = explained(manifest, pod("live"))
    assert [one.name for one in report.pods] == ["lab/live"]
    assert report.totals.pods == 1
    assert report.totals.requests.memory_bytes == GI
    assert report.totals.guest_bytes == 0
    assert report.ignored == {left_out: 1}
    assert [one.kind for one in report.idle] == [manifest["kind"]]
    assert {place.pod for place in report.kill_order} == {"lab/live"}


@pytest.mark.parametrize(
    "manifest",
    [
        machine(runStrategy="Always"),
        machine(running=True),
        machine(),
        machine({"printableStatus": "Stopped"}, runStrategy="Always"),
        machine(runStrategy="RerunOnFailure"),
        machine({"printableStatus": "Running", "created": True}, runStrategy="Manual"),
        machine({"printableStatus": "Stopping", "created": True}, running=False),
        instance("Running"),
        instance("Scheduling"),
        workload("Job", "batch/v1", "j", JOB),
        workload("CronJob", "batch/v1", "c", {"jobTemplate": {"spec": JOB}}),
        workload("DaemonSet", "apps/v1", "d", TEMPLATE, status={"desiredNumberScheduled": 0}),
    ],
)
def test_an_object_whose_pods_run_or_will_run_is_counted(manifest: dict[str, Any]) -> None:
    report = explained(manifest)
    assert report.totals.pods == 1
    assert not report.idle


def test_an_object_that_does_not_run_is_shown_alone_as_if_it_ran() -> None:
    report = explained(machine(runStrategy="Halted"))
    assert report.pods[0].guest_bytes == 12 * GI
    assert report.pods[0].warnings[0].word == "NotRunning"
    assert (report.totals.pods, report.totals.guest_bytes, report.kill_order) == (0, 0, ())


def test_finished_jobs_stand_for_their_cron_job() -> None:
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    found = inventory(
        workload("CronJob", "batch/v1", "nightly", {"jobTemplate": {"spec": JOB}}),
        workload("Job", "batch/v1", "nightly-1", JOB, metadata=owned("CronJob", "nightly"), status=done),
        {**pod("nightly-1-x", **owned("Job", "nightly-1")), "status": {"phase": "Succeeded"}},
        pod("live"),
    )
    assert [one.pod.label for one in found.found] == ["lab/live"]
    assert found.ignored == {"finished Job": 1, "finished Pod": 1}


def test_an_old_replica_set_does_not_stand_for_its_deployment() -> None:
    found = inventory(
        workload("Deployment", "apps/v1", "web", {"replicas": 3, **TEMPLATE}),
        workload(
            "ReplicaSet", "apps/v1", "web-1", {"replicas": 0, **TEMPLATE}, metadata=owned("Deployment", "web")
        ),
    )
    assert [(one.name, one.replicas) for one in found.found] == [("lab/web", 3)]


def test_an_old_replica_set_without_its_deployment_is_said() -> None:
    old = workload(
        "ReplicaSet", "apps/v1", "web-1", {"replicas": 0, **TEMPLATE}, metadata=owned("Deployment", "web")
    )
    assert inventory(old, pod()).ignored == {"ReplicaSet (0 replicas)": 1}
    deployment = workload("Deployment", "apps/v1", "web", {"replicas": 3, **TEMPLATE})
    assert inventory(old, deployment).ignored == {}


def test_a_failed_pod_does_not_stand_for_its_replica_set() -> None:
    found = inventory(
        workload("ReplicaSet", "apps/v1", "web-1", {"replicas": 1, **TEMPLATE}),
        {**pod("web-1-x", **owned("ReplicaSet", "web-1")), "status": {"phase": "Failed"}},
    )
    assert [one.name for one in found.found] == ["lab/web-1"]


def test_a_job_runs_no_more_pods_than_it_has_completions() -> None:
    found = inventory(workload("Job", "batch/v1", "j", {**JOB, "completions": 2, "parallelism": 5}))
    assert found.found[0].replicas == 2


def test_a_pod_that_attaches_volumes_is_beside_its_vms_pod() -> None:
    vmi = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "vm", "uid": "u"}
    launcher = pod("virt-launcher-vm", ownerReferences=[{**vmi, "controller": True}])
    volumes = pod("hp-volume", **owned("Pod", "virt-launcher-vm", "v1"))
    assert explained(launcher, volumes).totals.pods == 2


def test_disks_in_preparation_are_no_running_vm() -> None:
    waiting = machine({"printableStatus": "Provisioning"}, runStrategy="Halted")
    assert inventory(waiting, pod()).ignored == {"stopped VirtualMachine": 1}


def test_a_pool_does_not_count_where_its_vms_are_stopped() -> None:
    template = {"spec": machine(runStrategy="Always")["spec"]}
    pool = workload(
        "VirtualMachinePool", "pool.kubevirt.io/v1beta1", "pool", {"virtualMachineTemplate": template}
    )
    stopped = machine(runStrategy="Halted")
    stopped["metadata"].update(owned("VirtualMachinePool", "pool"))
    assert [one.kind for one in inventory(pool, stopped, pod()).found] == ["Pod"]


@pytest.mark.parametrize(
    ("spec", "status", "replicas"),
    [
        ({"completions": 3, "parallelism": 3}, {"succeeded": 2, "active": 1}, 1),
        ({"completions": 9, "parallelism": 3}, {"succeeded": 2, "active": 3}, 3),
        ({"parallelism": 3}, {"active": 3}, 3),
        ({"parallelism": 3}, {"succeeded": 1, "active": 2}, 2),
        ({"completions": 3}, None, 1),
    ],
)
def test_a_job_has_as_many_pods_as_are_left_to_do(spec: dict[str, Any], status: Any, replicas: int) -> None:
    (found,) = inventory(workload("Job", "batch/v1", "j", {**spec, **TEMPLATE}, status=status)).found
    assert found.replicas == replicas


def test_a_job_of_which_all_have_succeeded_is_finished() -> None:
    job = workload("Job", "batch/v1", "j", {"completions": 2, **TEMPLATE}, status={"succeeded": 2})
    assert inventory(job, pod()).ignored == {"finished Job": 1}
