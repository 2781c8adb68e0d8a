import json
from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.quantity import parse
from overbook.core.kubevirt.memory import LauncherPolicy, NetworkBinding
from overbook.core.kubevirt.settings import (
    VmSettings,
    in_namespace,
    settings_of_hyperconverged,
    settings_of_kubevirt,
)


def kubevirt(configuration: dict[str, Any] | None, **annotations: str) -> VmSettings:
    names = {name.replace("_", "/"): value for name, value in annotations.items()}
    manifest = {
        "metadata": {"name": "kubevirt", "namespace": "kubevirt", "annotations": names},
        "spec": {"configuration": configuration},
    }
    return settings_of_kubevirt(manifest, "KubeVirt")


def hyperconverged(spec: Any, **annotations: Any) -> VmSettings:
    manifest = {"metadata": {"name": "h", "namespace": "cnv", "annotations": annotations}, "spec": spec}
    return settings_of_hyperconverged(manifest, "HyperConverged")


def test_without_a_configuration_kubevirt_s_defaults_hold() -> None:
    for configuration in (None, {}, {"developerConfiguration": {"memoryOvercommit": 0}}):
        policy = kubevirt(configuration).policy
        assert policy == LauncherPolicy(feature_gates=frozenset())
    assert kubevirt(None).source == "KubeVirt kubevirt/kubevirt"
    assert settings_of_kubevirt({}, "KubeVirt").policy.percent == 100


def test_a_kubevirt_object_gives_all_settings() -> None:
    policy = kubevirt(
        {
            "additionalGuestMemoryOverheadRatio": "1.5",
            "architectureConfiguration": {"defaultArchitecture": "arm64"},
            "cpuRequest": "200m",
            "defaultRuntimeClass": "slow",
            "developerConfiguration": {
                "memoryOvercommit": 150,
                "cpuAllocationRatio": 4,
                "featureGates": ["ImageVolume", "AlignCPUs"],
            },
            "liveUpdateConfiguration": {"maxHotplugRatio": 2, "maxGuest": "8Gi"},
            "network": {
                "binding": {
                    "heavy": {
                        "sidecarImage": "i",
                        "computeResourceOverhead": {"requests": {"memory": "300Mi"}},
                    },
                    "light": {},
                }
            },
            "permittedHostDevices": {
                "pciHostDevices": [{"resourceName": "a"}, {"resourceName": "b", "disabled": True}],
                "mediatedDevices": [{"resourceName": "c"}],
            },
            "supportContainerResources": [{"type": "virtiofs", "resources": {"limits": {"cpu": "1"}}}],
            "virtualMachineOptions": {"disableSerialConsoleLog": {}},
            "vmRolloutStrategy": "Stage",
        },
        **{"alpha.kubevirt.io_EmulatorThreadCompleteToEvenParity": ""},
    ).policy
    assert (policy.percent, policy.cpu_allocation_ratio, policy.overhead_ratio) == (150, 4, "1.5")
    assert (policy.architecture, policy.cpu_request, policy.runtime_class) == ("arm64", parse("200m"), "slow")
    assert (policy.max_guest_ratio, policy.max_guest) == (2, parse("8Gi"))
    assert policy.bindings == {
        "heavy": NetworkBinding(parse("300Mi"), has_sidecar=True),
        "light": NetworkBinding(),
    }
    assert policy.permitted_devices == frozenset({"a", "c"})
    assert policy.support["virtiofs"].limits == {"cpu": "1"}
    assert (policy.console_log, policy.live_update) == (False, False)
    assert (policy.image_volumes, policy.even_parity) == (True, True)


def test_gates_that_are_not_given_leave_the_release_to_decide() -> None:
    assert kubevirt({}).policy.image_volumes is None
    disabled = {"developerConfiguration": {"disabledFeatureGates": ["ImageVolume"]}}
    assert kubevirt(disabled).policy.image_volumes is False
    parity = {"alpha.kubevirt.io_EmulatorThreadCompleteToEvenParity": ""}
    assert kubevirt({}, **parity).policy.even_parity is False


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_hyperconverged_object_gives_what_its_operator_writes(wrapped: bool) -> None:
    spec = {
        "higherWorkloadDensity": {"memoryOvercommitPercentage": 200},
        "resourceRequirements": {"vmiCPUAllocationRatio": 16},
        "virtualMachineOptions": {"disableSerialConsoleLog": True},
        "defaultRuntimeClass": "slow",
    }
    settings = hyperconverged({"virtualization": spec} if wrapped else spec)
    policy = settings.policy
    assert (policy.percent, policy.cpu_allocation_ratio, policy.console_log) == (200, 16, False)
    assert (policy.runtime_class, policy.feature_gates) == ("slow", None)
    assert settings.source == "HyperConverged cnv/h"


def test_an_empty_hyperconverged_object_leaves_the_defaults() -> None:
    for spec in (None, {}, {"virtualMachineOptions": {"disableSerialConsoleLog": False}}):
        policy = hyperconverged(spec).policy
        assert (policy.percent, policy.cpu_allocation_ratio, policy.console_log) == (100, 10, True)


def test_a_json_patch_of_a_hyperconverged_object_is_applied() -> None:
    operations = [
        {"op": "add", "path": "/spec/configuration/additionalGuestMemoryOverheadRatio", "value": "1.3"},
        {
            "op": "replace",
            "path": "/spec/configuration/developerConfiguration/cpuAllocationRatio",
            "value": 2,
        },
        {"op": "add", "path": "/spec/configuration/vmRolloutStrategy", "value": "Stage"},
        {"op": "remove", "path": "/spec/configuration/network"},
        {"op": "add", "path": "/metadata/labels", "value": {}},
        {"op": "add"},
    ]
    patch = {"kubevirt.kubevirt.io/jsonpatch": json.dumps(operations)}
    policy = hyperconverged({}, **patch).policy
    assert (policy.overhead_ratio, policy.cpu_allocation_ratio, policy.live_update) == ("1.3", 2, False)
    for text in ("{", "{}", '["a"]'):
        with pytest.raises(InvalidInput, match="jsonpatch"):
            hyperconverged({}, **{"kubevirt.kubevirt.io/jsonpatch": text})


def patched(*operations: dict[str, Any], **spec: Any) -> LauncherPolicy:
    return hyperconverged(spec, **{"kubevirt.kubevirt.io/jsonpatch": json.dumps(operations)}).policy


def test_a_json_patch_reaches_lists_and_removes() -> None:
    devices = "/spec/configuration/permittedHostDevices/pciHostDevices"
    gates = {
        "op": "add",
        "path": "/spec/configuration/developerConfiguration/featureGates/-",
        "value": "Sidecar",
    }
    added = {"op": "add", "path": f"{devices}/0", "value": {"resourceName": "a"}}
    ends = {"op": "add", "path": f"{devices}/-", "value": {"resourceName": "b"}}
    policy = patched(gates, ends, added, {"op": "remove", "path": f"{devices}/1"})
    assert policy.permitted_devices == frozenset({"a"})
    bound = {"networkBinding": {"a/b": {"sidecarImage": "x"}, "c": {}}}
    path = "/spec/configuration/network/binding/a~1b/sidecarImage"
    assert not patched({"op": "remove", "path": path}, **bound).bindings["a/b"].has_sidecar
    with pytest.raises(InvalidInput, match="jsonpatch: path"):
        patched(
            {"op": "replace", "path": f"{devices}/-", "value": {}},
            permittedHostDevices={"pciHostDevices": []},
        )


def test_a_hyperconverged_object_of_v1_has_its_fields_in_groups() -> None:
    spec = {
        "featureGates": [{"name": "alignCPUs", "state": "Enabled"}, {"name": "other", "state": "Disabled"}],
        "networking": {"networkBinding": {"passt": {"sidecarImage": "x"}}},
        "virtualization": {"virtualMachineOptions": {"defaultRuntimeClass": "slow"}},
    }
    policy = hyperconverged(spec).policy
    assert (policy.even_parity, list(policy.bindings), policy.runtime_class) == (True, ["passt"], "slow")
    assert hyperconverged({"featureGates": {"alignCPUs": True}}).policy.even_parity
    for off in ({"alignCPUs": False}, [{"name": "alignCPUs", "state": "Disabled"}], []):
        assert not hyperconverged({"featureGates": off}).policy.even_parity


@pytest.mark.parametrize(
    ("label", "ratio"),
    [(None, 2.0), ("1.5", 1.5), ("1", 1.0), ("0.5", 2.0), ("much", 2.0), ("nan", 2.0), ("inf", 2.0)],
)
def test_a_quota_on_memory_limits_brings_limits_of_a_multiple(label: str | None, ratio: float) -> None:
    labels = {} if label is None else {"alpha.kubevirt.io/auto-memory-limits-ratio": label}
    policy = in_namespace(VmSettings(), labels, ["limits.memory", "pods"])
    assert (policy.auto_memory_limit_ratio, policy.auto_cpu_limit) == (ratio, False)
    assert in_namespace(VmSettings(), labels, ["requests.memory"]) == LauncherPolicy()


def test_a_quota_or_the_cluster_s_selector_brings_cpu_limits() -> None:
    assert in_namespace(VmSettings(), None, ["limits.cpu"]).auto_cpu_limit
    selector = {"autoCPULimitNamespaceLabelSelector": {"matchLabels": {"team": "a"}}}
    settings = kubevirt(selector)
    assert in_namespace(settings, {"team": "a"}, ()).auto_cpu_limit
    assert not in_namespace(settings, {"team": "b"}, ()).auto_cpu_limit
    of_operator = hyperconverged({"resourceRequirements": selector})
    assert in_namespace(of_operator, {"team": "a"}, ()).auto_cpu_limit
