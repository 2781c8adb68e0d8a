import json
from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod, ResourceRequirements
from overbook.core.kubernetes.quantity import parse
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubevirt.defaults import with_vm_defaults
from overbook.core.kubevirt.definitions import decode_virtual_machine
from overbook.core.kubevirt.launcher import launcher_pod
from overbook.core.kubevirt.memory import LauncherPolicy, NetworkBinding
from overbook.core.kubevirt.overhead import release
from overbook.core.kubevirt.vm import VirtualMachineInstance
from tests.core.pod_manifests import vm_of

HEAVY = {"name": "n", "binding": {"name": "heavy"}}


def pod(vmi: VirtualMachineInstance, version: str = "main", **policy: Any) -> Pod:
    settings = LauncherPolicy(**policy)
    return launcher_pod(with_vm_defaults(vmi, settings), settings, running=release(version))


def annotated(annotations: dict[str, str], **spec: Any) -> VirtualMachineInstance:
    return decode_virtual_machine(
        {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachineInstance",
            "metadata": {"name": "v", "annotations": annotations},
            "spec": {"domain": {"memory": {"guest": "2Gi"}}, **spec},
        }
    )


def listed(made: Pod) -> dict[str, tuple[Any, ...]]:
    """CPU and memory request, CPU and memory limit of each container."""
    return {
        one.name: tuple(
            ((getattr(one.resources, side) if one.resources else None) or {}).get(name)
            for side in ("requests", "limits")
            for name in ("cpu", "memory")
        )
        for one in made.all_containers()
    }


def test_the_console_is_logged_by_a_sidecar_of_nearly_every_vm() -> None:
    made = pod(vm_of("2Gi"))
    assert listed(made) == {
        "guest-console-log": ("5m", "35M", "15m", "60M"),
        "compute": ("200m", "2344Mi", None, None),
    }
    assert made.init_containers[0].is_sidecar
    assert made.metadata.generate_name == "virt-launcher-db-"


@pytest.mark.parametrize(
    ("devices", "logged_by_default", "expected"),
    [
        ({"autoattachSerialConsole": False}, True, False),
        ({"autoattachSerialConsole": False, "logSerialConsole": True}, True, False),
        ({"logSerialConsole": False}, True, False),
        ({"logSerialConsole": True}, False, True),
        ({}, False, False),
    ],
)
def test_the_console_is_not_logged_where_vm_or_cluster_say_so(
    devices: dict[str, Any], logged_by_default: bool, expected: bool
) -> None:
    made = pod(vm_of("2Gi", devices=devices), console_log=logged_by_default)
    assert ("guest-console-log" in listed(made)) is expected


def test_disks_and_file_systems_bring_containers_of_their_own() -> None:
    spec = {
        "volumes": [
            {"name": "root", "containerDisk": {"image": "i"}},
            {"name": "fs", "configMap": {"name": "c"}},
            {"name": "path", "containerPath": {"path": "/p"}},
            {"name": "other", "secret": {"secretName": "s"}},
        ]
    }
    domain = {
        "devices": {"filesystems": [{"name": "fs", "virtiofs": {}}, {"name": "path", "virtiofs": {}}]},
        "firmware": {"kernelBoot": {"container": {"image": "k"}}},
    }
    made = pod(vm_of("2Gi", spec=spec, **domain))
    small = ("1m", "1M", "10m", "40M")
    assert [one.name for one in made.containers] == ["compute", "virtiofs-fs"]
    assert listed(made) | {"compute": None} == {
        "compute": None,
        "guest-console-log": ("5m", "35M", "15m", "60M"),
        "volumeroot": small,
        "volumekernel-boot-volume": small,
        "virtiofs-fs": ("10m", "1M", "100m", "80M"),
    }
    before = pod(vm_of("2Gi", spec=spec, **domain), "v1.6")
    assert [one.name for one in before.containers] == [
        "compute",
        "volumeroot",
        "volumekernel-boot-volume",
        "virtiofs-fs",
    ]
    assert listed(before)["container-disk-binary"] == ("10m", "1M", "100m", "40M")
    assert listed(before)["volumeroot-init"] == small
    assert "volumeroot-init" in listed(pod(vm_of("2Gi", spec=spec), image_volumes=False))
    assert "volumeroot-init" not in listed(pod(vm_of("2Gi", spec=spec), "v1.6", image_volumes=True))


def test_a_vm_may_do_without_the_container_for_digests() -> None:
    skip = {"kubevirt.io/image-volume-skip-digest-resolution": "true"}
    volumes = [{"name": "root", "containerDisk": {"image": "i"}}]
    assert "volumeroot" not in listed(pod(annotated(skip, volumes=volumes)))
    assert "volumeroot" in listed(pod(annotated({}, volumes=volumes)))


def test_added_containers_leave_a_vm_its_guaranteed_class() -> None:
    equal = {"cpu": "2", "memory": "3Gi"}
    sidecars = {"hooks.kubevirt.io/hookSidecars": json.dumps([{"image": "a"}])}
    volumes = [{"name": "root", "containerDisk": {"image": "i"}}]
    for resources in ({"limits": equal}, {"limits": equal, "requests": equal}):
        vmi = annotated(sidecars, volumes=volumes, domain={"resources": resources})
        for version in ("main", "v1.5"):
            made = pod(vmi, version)
            assert resolve(made).qos_class == "Guaranteed"
            assert listed(made)["hook-sidecar-0"] == ("200m", "64M", "200m", "64M")


def test_hook_sidecars_and_network_bindings_are_counted_together() -> None:
    sidecars = {"hooks.kubevirt.io/hookSidecars": json.dumps([{"image": "a"}, {"image": "b"}])}
    domain = {
        "memory": {"guest": "2Gi"},
        "devices": {"interfaces": [HEAVY, HEAVY, {"name": "m", "masquerade": {}}]},
    }
    bindings = {"heavy": NetworkBinding(parse("300Mi"), has_sidecar=True), "unused": NetworkBinding()}
    plain = pod(annotated({}, domain={"memory": {"guest": "2Gi"}}))
    made = pod(annotated(sidecars, domain=domain), bindings=bindings)
    assert [one.name for one in made.containers[1:]] == [f"hook-sidecar-{n}" for n in range(3)]
    assert listed(made)["hook-sidecar-0"] == (None, None, None, None)
    assert (listed(plain)["compute"][1], listed(made)["compute"][1]) == ("2336Mi", "2636Mi")
    ratio = pod(annotated(sidecars, domain=domain), bindings=bindings, overhead_ratio="2")
    more = parse(str(listed(ratio)["compute"][1])).value() - parse("2636Mi").value()
    assert more // (1 << 20) == 288


@pytest.mark.parametrize("text", ["no list", "{}", '["a"]'])
def test_a_list_of_sidecars_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="hookSidecars"):
        pod(annotated({"hooks.kubevirt.io/hookSidecars": text}))


def test_configured_sizes_replace_those_of_kubevirt_s_containers() -> None:
    support = {
        "guest-console-log": ResourceRequirements(
            requests={"memory": "10M", "cpu": "0"}, limits={"cpu": "20m"}
        )
    }
    made = listed(pod(vm_of("2Gi"), support=support))
    assert made["guest-console-log"] == ("5m", "10M", "20m", "60M")


def test_requests_are_stored_as_the_api_server_rounds_them() -> None:
    assert listed(pod(vm_of("2Gi"), percent=150))["compute"][1] == "1742034261"
    assert listed(pod(vm_of("2Gi", cpu={"cores": 1}), cpu_allocation_ratio=3))["compute"][0] == "334m"
    fraction = listed(pod(vm_of("1.1Gi", cpu={"cores": 1})))["compute"][1]
    assert fraction == "1483105894400m"


def test_an_emulator_thread_fills_up_to_an_even_number_of_cpus() -> None:
    cpu = {"cores": 4, "dedicatedCpuPlacement": True, "isolateEmulatorThread": True}
    even = "alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity"

    def cpus(annotations: dict[str, str], cores: int = 4, **more: Any) -> Any:
        vmi = annotated(
            annotations, domain={"memory": {"guest": "2Gi"}, "cpu": {**cpu, "cores": cores}, **more}
        )
        return listed(pod(vmi))["compute"][0]

    assert (cpus({}), cpus({even: ""}), cpus({even: ""}, 3)) == ("5", "6", "4")
    pool: dict[str, Any] = {"ioThreads": {"supplementalPoolThreadCount": 1}}
    assert cpus({even: ""}, **pool) == "6"
    assert cpus({even: ""}, **pool, ioThreadsPolicy="supplementalPool") == "7"
    vmi = annotated({}, domain={"memory": {"guest": "2Gi"}, "cpu": cpu})
    assert listed(pod(vmi, even_parity=True))["compute"][0] == "6"


def test_a_priority_class_reaches_the_pod() -> None:
    made = pod(vm_of("2Gi", spec={"priorityClassName": "important"}))
    assert made.spec.priority_class_name == "important"
