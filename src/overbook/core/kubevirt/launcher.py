"""The launcher pod of a VM: the compute container and those that KubeVirt adds beside it.

Source: ``pkg/virt-controller/services`` (``template.go``, ``serialconsolelog.go``, ``renderresources.go``),
``pkg/container-disk`` and ``pkg/virtiofs`` of KubeVirt main of 2026-08.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import (
    Container,
    ObjectMeta,
    OwnerReference,
    Pod,
    PodSpec,
    ResourceList,
    ResourceRequirements,
)
from overbook.core.kubernetes.quantity import Quantity, from_raw
from overbook.core.kubernetes.resources import CPU, MEMORY
from overbook.core.kubevirt.memory import LauncherMemory, LauncherPolicy, Quantities, launcher_memory
from overbook.core.kubevirt.overhead import MAIN, OVERHEAD_ANNOTATION, Release, wants_guaranteed
from overbook.core.kubevirt.vm import COMPUTE_CONTAINER, INSTANCE_KIND, VirtualMachineInstance

CONSOLE_CONTAINER: Final = "guest-console-log"
HOOKS_ANNOTATION: Final = "hooks.kubevirt.io/hookSidecars"
KERNEL_BOOT_VOLUME: Final = "kernel-boot-volume"
SKIP_DIGEST_ANNOTATION: Final = "kubevirt.io/image-volume-skip-digest-resolution"


class _Defaults(msgspec.Struct, frozen=True, gc=False):
    """Requests and limits of one kind of KubeVirt's own containers; ``None``: not set."""

    cpu_request: str | None
    memory_request: str | None
    cpu_limit: str | None
    memory_limit: str | None


_DEFAULTS: Final = {
    "guest-console-log": _Defaults("5m", "35M", "15m", "60M"),
    "container-disk": _Defaults("1m", "1M", "10m", "40M"),
    "virtiofs": _Defaults("10m", "1M", "100m", "80M"),
    "sidecar": _Defaults(None, None, None, None),
    "container-disk-binary": _Defaults("10m", "1M", "100m", "40M"),
}
_GUARANTEED: Final = {
    "sidecar": _Defaults(None, None, "200m", "64M"),
    "container-disk-binary": _Defaults(None, None, "10m", "40M"),
}
"""Kinds whose default limits differ where requests must equal limits."""


def launcher_pod(
    vmi: VirtualMachineInstance, policy: LauncherPolicy | None = None, *, running: Release = MAIN
) -> Pod:
    """The pod that KubeVirt creates for a VM.

    Args:
        vmi: the VM, with the defaults of :func:`overbook.core.kubevirt.defaults.with_vm_defaults`.
        policy: the cluster's and the namespace's settings.
        running: the KubeVirt release.

    Raises:
        InvalidInput: a quantity or a setting is out of range, or the list of hook sidecars is not valid.
    """
    policy = policy or LauncherPolicy()
    memory = launcher_memory(vmi, policy, running=running)
    image_volumes = running.image_volumes if policy.image_volumes is None else policy.image_volumes
    metadata = vmi.metadata
    owner = OwnerReference(
        api_version=vmi.api_version or "kubevirt.io/v1",
        kind=INSTANCE_KIND,
        name=metadata.name,
        uid=metadata.uid or "",
        controller=True,
    )
    return Pod(
        api_version="v1",
        kind="Pod",
        metadata=ObjectMeta(
            namespace=metadata.namespace,
            generate_name=f"virt-launcher-{metadata.name or metadata.generate_name or ''}-",
            labels=metadata.labels,
            annotations={
                **(metadata.annotations or {}),
                "kubevirt.io/domain": metadata.name,
                OVERHEAD_ANNOTATION: str(memory.overhead_bytes),
            },
            owner_references=(owner,),
        ),
        spec=PodSpec(
            containers=tuple(_containers(vmi, policy, memory, image_volumes=image_volumes)),
            init_containers=tuple(_init_containers(vmi, policy, image_volumes=image_volumes)) or None,
            priority_class_name=vmi.spec.priority_class_name or None,
            runtime_class_name=policy.runtime_class or None,
        ),
    )


def _containers(
    vmi: VirtualMachineInstance, policy: LauncherPolicy, memory: LauncherMemory, *, image_volumes: bool
) -> Iterator[Container]:
    resources = ResourceRequirements(requests=_listed(memory.requests), limits=_listed(memory.limits))
    yield Container(name=COMPUTE_CONTAINER, resources=resources)
    if not image_volumes:
        for name in _disk_images(vmi):
            yield _added(f"volume{name}", "container-disk", vmi, policy)
    shared = {one.name for one in vmi.spec.domain.devices.filesystems or () if one.virtiofs is not None}
    for volume in vmi.spec.volumes or ():
        if volume.name in shared and volume.container_path is None:
            yield _added(f"virtiofs-{volume.name}", "virtiofs", vmi, policy)
    for number in range(_hook_sidecars(vmi) + _binding_sidecars(vmi, policy)):
        yield _added(f"hook-sidecar-{number}", "sidecar", vmi, policy)


def _init_containers(
    vmi: VirtualMachineInstance, policy: LauncherPolicy, *, image_volumes: bool
) -> Iterator[Container]:
    if _logs_console(vmi, policy):
        console = _added(CONSOLE_CONTAINER, "guest-console-log", vmi, policy)
        yield msgspec.structs.replace(console, restart_policy="Always")
    images = _disk_images(vmi)
    if image_volumes:
        if (vmi.metadata.annotations or {}).get(SKIP_DIGEST_ANNOTATION) == "true":
            return
        for name in images:
            yield _added(f"volume{name}", "container-disk", vmi, policy)
    elif images:
        yield _added("container-disk-binary", "container-disk-binary", vmi, policy)
        for name in images:
            yield _added(f"volume{name}-init", "container-disk", vmi, policy)


def _disk_images(vmi: VirtualMachineInstance) -> list[str]:
    """The volumes that come from container images, the kernel's last."""
    names = [volume.name for volume in vmi.spec.volumes or () if volume.container_disk is not None]
    firmware = vmi.spec.domain.firmware
    if (
        firmware is not None
        and firmware.kernel_boot is not None
        and firmware.kernel_boot.container is not None
    ):
        names.append(KERNEL_BOOT_VOLUME)
    return names


def _logs_console(vmi: VirtualMachineInstance, policy: LauncherPolicy) -> bool:
    devices = vmi.spec.domain.devices
    if devices.autoattach_serial_console is False:
        return False
    return policy.console_log if devices.log_serial_console is None else devices.log_serial_console


def _hook_sidecars(vmi: VirtualMachineInstance) -> int:
    text = (vmi.metadata.annotations or {}).get(HOOKS_ANNOTATION)
    if text is None:
        return 0
    try:
        return len(msgspec.json.decode(text, type=list[dict[str, object]] | None) or ())
    except msgspec.MsgspecError as error:
        raise InvalidInput(
            f"{INSTANCE_KIND} {vmi.label}: annotation {HOOKS_ANNOTATION}", text, "a JSON list of sidecars"
        ) from error


def _binding_sidecars(vmi: VirtualMachineInstance, policy: LauncherPolicy) -> int:
    used = {
        interface.binding.name
        for interface in vmi.spec.domain.devices.interfaces or ()
        if interface.binding is not None
    }
    return sum(policy.bindings[name].has_sidecar for name in used & policy.bindings.keys())


def _added(name: str, kind: str, vmi: VirtualMachineInstance, policy: LauncherPolicy) -> Container:
    """A container of KubeVirt's own; its requests equal its limits where the pod is to be Guaranteed."""
    guaranteed = vmi.has_dedicated_cpu or wants_guaranteed(vmi)
    defaults = _GUARANTEED.get(kind, _DEFAULTS[kind]) if guaranteed else _DEFAULTS[kind]
    configured = policy.support.get(kind.removesuffix("-binary")) or ResourceRequirements()
    limits = _with_configured(defaults.cpu_limit, defaults.memory_limit, configured.limits)
    if guaranteed:
        requests = dict(limits)
    else:
        requests = _with_configured(defaults.cpu_request, defaults.memory_request, configured.requests)
    return Container(
        name=name, resources=ResourceRequirements(requests=requests or None, limits=limits or None)
    )


def _with_configured(cpu: str | None, memory: str | None, configured: ResourceList | None) -> ResourceList:
    """The defaults, with what the cluster configures in place of them; a configured 0 does not count."""
    listed: ResourceList = {}
    for name, default in ((CPU, cpu), (MEMORY, memory)):
        given = (configured or {}).get(name)
        if given is not None and from_raw(given).sign:
            listed[name] = given
        elif default is not None:
            listed[name] = default
    return listed


def _listed(quantities: Quantities) -> ResourceList | None:
    """Quantities as the API server stores them: rounded up to thousandths, in canonical form."""
    return {name: _stored(quantity) for name, quantity in quantities.items()} or None


def _stored(quantity: Quantity) -> str:
    if quantity.scale >= -3:
        return quantity.canonical()
    return Quantity(quantity.scaled(-3), -3, quantity.format).canonical()
