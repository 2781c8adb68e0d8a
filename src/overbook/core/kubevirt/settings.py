"""The settings that decide the pods of VMs, read from KubeVirt's objects and from the namespace.

A KubeVirt object holds them; under OpenShift Virtualization the HyperConverged object does, from which the
KubeVirt object is written. Sources: ``kubevirt.io/api/core/v1`` and ``pkg/virt-config`` of KubeVirt main of
2026-08; the HyperConverged operator.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, ResourceRequirements, convert
from overbook.core.kubernetes.quantity import ZERO, RawQuantity, from_raw
from overbook.core.kubernetes.resources import CPU, MEMORY
from overbook.core.kubernetes.selectors import LabelSelector
from overbook.core.kubevirt.json_patch import patch_configuration
from overbook.core.kubevirt.memory import EVEN_PARITY_ANNOTATION, LauncherPolicy, NetworkBinding
from overbook.core.kubevirt.vm import Anything, Count
from overbook.core.percentage import check_percent

AUTO_LIMIT_RATIO_LABEL: Final = "alpha.kubevirt.io/auto-memory-limits-ratio"
DEFAULT_AUTO_LIMIT_RATIO: Final = 2.0
JSON_PATCH_ANNOTATION: Final = "kubevirt.kubevirt.io/jsonpatch"
"""On a HyperConverged object: changes to the KubeVirt object that no field of its own allows."""


class VmSettings(msgspec.Struct, frozen=True, gc=False):
    """The cluster's settings for VMs.

    Attributes:
        policy: the settings that decide a pod; those of the namespace are not filled in.
        source: the object, as ``Kind namespace/name``; empty: the defaults of KubeVirt.
        cpu_limits_for: the namespaces whose VMs get a CPU limit; ``None``: none.
        note: what another object says otherwise; empty: nothing.
    """

    policy: LauncherPolicy = LauncherPolicy()
    source: str = ""
    cpu_limits_for: LabelSelector | None = None
    note: str = ""


class _DeveloperConfiguration(KubeStruct, frozen=True):
    memory_overcommit: int | None = None
    cpu_allocation_ratio: int | None = msgspec.field(default=None, name="cpuAllocationRatio")
    feature_gates: tuple[str, ...] | None = None
    disabled_feature_gates: tuple[str, ...] | None = None


class _Support(KubeStruct, frozen=True):
    type: str = ""
    resources: ResourceRequirements = ResourceRequirements()


class _Binding(KubeStruct, frozen=True):
    sidecar_image: str | None = None
    compute_resource_overhead: ResourceRequirements | None = None


class _Network(KubeStruct, frozen=True):
    binding: dict[str, _Binding] | None = None


class _PermittedDevice(KubeStruct, frozen=True):
    resource_name: str = ""
    disabled: bool | None = None


class _PermittedDevices(KubeStruct, frozen=True):
    pci_host_devices: tuple[_PermittedDevice, ...] | None = None
    mediated_devices: tuple[_PermittedDevice, ...] | None = None
    usb: tuple[_PermittedDevice, ...] | None = None
    usb_host_devices: tuple[_PermittedDevice, ...] | None = None


class _LiveUpdate(KubeStruct, frozen=True):
    max_hotplug_ratio: Count | None = None
    max_guest: RawQuantity = None


class _VmOptions(KubeStruct, frozen=True):
    disable_serial_console_log: Anything | bool | None = None


class _ArchitectureConfiguration(KubeStruct, frozen=True):
    default_architecture: str | None = None


class _Configuration(KubeStruct, frozen=True):
    additional_guest_memory_overhead_ratio: str | None = None
    architecture_configuration: _ArchitectureConfiguration | None = None
    auto_cpu_limit_namespace_label_selector: LabelSelector | None = msgspec.field(
        default=None, name="autoCPULimitNamespaceLabelSelector"
    )
    cpu_request: RawQuantity = None
    default_runtime_class: str | None = None
    developer_configuration: _DeveloperConfiguration | None = None
    live_update_configuration: _LiveUpdate | None = None
    network: _Network | None = None
    permitted_host_devices: _PermittedDevices | None = None
    support_container_resources: tuple[_Support, ...] | None = None
    virtual_machine_options: _VmOptions | None = None
    vm_rollout_strategy: str | None = None


class _KubeVirtSpec(KubeStruct, frozen=True):
    configuration: _Configuration | None = None


class _KubeVirt(KubeStruct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()
    spec: _KubeVirtSpec | None = None


def settings_of_kubevirt(manifest: Any, label: str) -> VmSettings:
    """The settings of a parsed KubeVirt object.

    Args:
        manifest: the object.
        label: the object, for messages.

    Raises:
        InvalidInput: a field has the wrong type or a quantity is not valid.
    """
    decoded = convert(manifest, _KubeVirt, label)
    spec = decoded.spec or _KubeVirtSpec()
    written = spec.configuration or _Configuration()
    developer = written.developer_configuration or _DeveloperConfiguration()
    gates = frozenset(developer.feature_gates or ())
    annotations = decoded.metadata.annotations or {}
    percent = developer.memory_overcommit or 100
    check_percent(percent, f"{label} the percentage")
    policy = LauncherPolicy(
        # KubeVirt fills in its own default where a number is absent or 0.
        percent=percent,
        cpu_allocation_ratio=developer.cpu_allocation_ratio or 10,
        overhead_ratio=written.additional_guest_memory_overhead_ratio or None,
        cpu_request=None if written.cpu_request is None else from_raw(written.cpu_request),
        architecture=_architecture(written),
        live_update=written.vm_rollout_strategy in (None, "LiveUpdate"),
        even_parity=EVEN_PARITY_ANNOTATION in annotations and "AlignCPUs" in gates,
        console_log=_logs_console(written),
        image_volumes=_image_volumes(developer),
        support={one.type: one.resources for one in written.support_container_resources or ()},
        bindings=_bindings(written),
        feature_gates=gates,
        permitted_devices=_permitted(written.permitted_host_devices),
        runtime_class=written.default_runtime_class or "",
        **_live_update(written),
    )
    return VmSettings(
        policy,
        _named(decoded.metadata, "KubeVirt"),
        written.auto_cpu_limit_namespace_label_selector,
    )


def settings_of_hyperconverged(manifest: Any, label: str) -> VmSettings:
    """The settings of a parsed HyperConverged object, as its operator writes them into the KubeVirt object.

    Args:
        manifest: the object; its fields may stand in ``spec`` or, from ``v1`` on, in ``spec.virtualization``.
        label: the object, for messages.

    Raises:
        InvalidInput: a field has the wrong type or a quantity is not valid.
    """
    written = _mapping(manifest.get("spec"))
    # In v1 the fields stand in groups.
    spec = written | _mapping(written.get("virtualization")) | _mapping(written.get("networking"))
    metadata = _mapping(manifest.get("metadata"))
    density = _mapping(spec.get("higherWorkloadDensity"))
    needs = written | spec | _mapping(spec.get("resourceRequirements"))
    options = _mapping(spec.get("virtualMachineOptions"))
    aligned = _is_on(written.get("featureGates"), "alignCPUs")
    configuration: dict[str, Any] = {
        "developerConfiguration": {
            "memoryOvercommit": density.get("memoryOvercommitPercentage"),
            "cpuAllocationRatio": needs.get("vmiCPUAllocationRatio"),
        },
        "autoCPULimitNamespaceLabelSelector": needs.get("autoCPULimitNamespaceLabelSelector"),
        "defaultRuntimeClass": options.get("defaultRuntimeClass") or spec.get("defaultRuntimeClass"),
        "liveUpdateConfiguration": spec.get("liveUpdateConfiguration"),
        "network": {"binding": spec.get("networkBinding")},
        "permittedHostDevices": spec.get("permittedHostDevices"),
        "virtualMachineOptions": {
            "disableSerialConsoleLog": {} if options.get("disableSerialConsoleLog") else None
        },
    }
    document = {"metadata": metadata, "spec": {"configuration": configuration}}
    patch = _mapping(metadata.get("annotations")).get(JSON_PATCH_ANNOTATION)
    if patch is not None:
        patch_configuration(document, patch, f"{label} annotation {JSON_PATCH_ANNOTATION}")
    settings = settings_of_kubevirt(document, label)
    # The operator adds gates of its own, which depend on its release, so no gate is known to be off.
    policy = replace(settings.policy, feature_gates=None, even_parity=aligned)
    source = _named(convert({"metadata": metadata}, _KubeVirt, label).metadata, "HyperConverged")
    return replace(settings, policy=policy, source=source)


def in_namespace(
    settings: VmSettings, labels: Mapping[str, str] | None, quota_resources: Iterable[str]
) -> LauncherPolicy:
    """The settings for the VMs of a namespace: automatic limits where its quotas or its labels ask for them.

    Args:
        settings: the cluster's settings.
        labels: the namespace's labels.
        quota_resources: the names of all resources that a ResourceQuota of the namespace limits.
    """
    limited = set(quota_resources)
    ratio = None
    if f"limits.{MEMORY}" in limited:
        ratio = _limit_ratio((labels or {}).get(AUTO_LIMIT_RATIO_LABEL))
    selector = settings.cpu_limits_for
    automatic_cpu = f"limits.{CPU}" in limited or (selector is not None and selector.matches(labels))
    if ratio is None and not automatic_cpu:
        return settings.policy
    return replace(settings.policy, auto_memory_limit_ratio=ratio, auto_cpu_limit=automatic_cpu)


def _limit_ratio(text: str | None) -> float:
    """The label's number; KubeVirt takes its default where the label is no number, or below 1."""
    try:
        ratio = DEFAULT_AUTO_LIMIT_RATIO if text is None else float(text)
    except ValueError:
        return DEFAULT_AUTO_LIMIT_RATIO
    return ratio if 1 <= ratio <= 1_000_000 else DEFAULT_AUTO_LIMIT_RATIO


def _live_update(written: _Configuration) -> dict[str, Any]:
    live = written.live_update_configuration or _LiveUpdate()
    found: dict[str, Any] = {}
    if live.max_hotplug_ratio:
        found["max_guest_ratio"] = live.max_hotplug_ratio
    if live.max_guest is not None:
        found["max_guest"] = from_raw(live.max_guest)
    return found


def _architecture(written: _Configuration) -> str:
    configured = written.architecture_configuration
    return (configured.default_architecture if configured else None) or "amd64"


def _logs_console(written: _Configuration) -> bool:
    """Whether the console is logged: any object in ``disableSerialConsoleLog`` turns it off, even ``{}``."""
    options = written.virtual_machine_options
    return options is None or options.disable_serial_console_log in (None, False)


def _image_volumes(developer: _DeveloperConfiguration) -> bool | None:
    if "ImageVolume" in (developer.feature_gates or ()):
        return True
    return False if "ImageVolume" in (developer.disabled_feature_gates or ()) else None


def _bindings(written: _Configuration) -> dict[str, NetworkBinding]:
    listed = (written.network.binding if written.network else None) or {}
    return {
        name: NetworkBinding(_requested_memory(plugin.compute_resource_overhead), bool(plugin.sidecar_image))
        for name, plugin in listed.items()
    }


def _requested_memory(resources: ResourceRequirements | None) -> Any:
    raw = ((resources.requests if resources else None) or {}).get(MEMORY)
    return ZERO if raw is None else from_raw(raw)


def _permitted(devices: _PermittedDevices | None) -> frozenset[str] | None:
    if devices is None:
        return None
    kinds = (devices.pci_host_devices, devices.mediated_devices, devices.usb, devices.usb_host_devices)
    return frozenset(one.resource_name for kind in kinds for one in kind or () if not one.disabled)


def _named(metadata: ObjectMeta, kind: str) -> str:
    return f"{kind} {metadata.namespace or 'default'}/{metadata.name}"


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_on(gates: object, name: str) -> bool:
    """Whether a feature gate is on: a field of its own, or in v1 an item of a list."""
    if isinstance(gates, list):
        named = [one for one in gates if isinstance(one, dict) and one.get("name") == name]
        return any(one.get("state", "Enabled") == "Enabled" for one in named)
    return _mapping(gates).get(name) is True
