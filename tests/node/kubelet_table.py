"""Forty ways to configure a kubelet, and what it then does, for tests with and without a real kubelet.

Each has the command line and the files of a node, and some fields of the configuration in force by the names
of ``/configz``. Where the kubelet is a part of another program, `real` is how that program starts it. What a
kubelet says that does not start with swap on has the word `refused`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from overbook.core.kubernetes.kubelet import KubeletConfiguration

DEFAULTS = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
FILE, FOLDER = "/etc/kt/kubelet.yaml", "/etc/kt/kubelet.conf.d"
HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
CONFIG, CONFIG_DIR = f"--config={FILE}", f"--config-dir={FOLDER}"
K3S = "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d"
K3S_DEFAULTS = "failSwapOn: false\nevictionHard: {imagefs.available: 5%, nodefs.available: 5%}\n"


class Row(NamedTuple):
    """A configuration.

    Attributes:
        name: what it is about.
        words: the command line of the process.
        files: the content of files by path, without the head of a kubelet's configuration if they have it.
        expect: fields in force.
        real: the flags that the kubelet itself gets; ``None``: those of the command line.
        refused: a part of what a kubelet says that does not start; empty: it starts.
        cgroup: the process's cgroup.
    """

    name: str
    words: tuple[str, ...]
    files: Mapping[str, str]
    expect: Mapping[str, Any]
    real: tuple[str, ...] | None = None
    refused: str = ""
    cgroup: str = "/system.slice/kubelet.service"


def kubelet(
    name: str, *flags: str, file: str | None = None, expect: Mapping[str, Any], **drop_ins: str
) -> Row:
    """A program ``kubelet`` with a file, drop-ins by the names of files, and more flags."""
    files = {
        f"{FOLDER}/{drop_in[1:].replace('__', '/').replace('_', '-')}.conf": text
        for drop_in, text in drop_ins.items()
    }
    words = (*([CONFIG] if file is not None else ()), *([CONFIG_DIR] if drop_ins else ()), *flags)
    return Row(
        name, ("/usr/bin/kubelet", *words), {**({} if file is None else {FILE: file}), **files}, expect
    )


ON = "failSwapOn: false\n"
OFF_FLAG = "--fail-swap-on=false"
SOFT = "evictionSoft: {memory.available: 2Gi}\nevictionSoftGracePeriod: {memory.available: 30s}\n"
HARD = "evictionHard: {memory.available: 300Mi}\n"

ROWS = (
    kubelet("flags alone have no thresholds", OFF_FLAG, expect={"failSwapOn": False, "evictionHard": {}}),
    kubelet("a file has the defaults", file=ON, expect={"failSwapOn": False, "evictionHard": DEFAULTS}),
    kubelet(
        "a threshold in the file replaces all",
        file=ON + HARD,
        expect={"evictionHard": {"memory.available": "300Mi"}},
    ),
    kubelet("an empty map switches all off", file=f"{ON}evictionHard: {{}}\n", expect={"evictionHard": {}}),
    kubelet(
        "a null leaves the defaults", file=f"{ON}evictionHard: null\n", expect={"evictionHard": DEFAULTS}
    ),
    kubelet(
        "the file's own wish merges the defaults",
        file=f"{ON}{HARD}mergeDefaultEvictionSettings: true\n",
        expect={"evictionHard": {**DEFAULTS, "memory.available": "300Mi"}},
    ),
    kubelet(
        "a drop-in's wish to merge comes too late",
        file=ON + HARD,
        expect={"evictionHard": {"memory.available": "300Mi"}},
        _10_merge="mergeDefaultEvictionSettings: true\n",
    ),
    kubelet(
        "a drop-in is merged into the file's defaults",
        file=ON,
        expect={"evictionHard": {**DEFAULTS, "memory.available": "300Mi"}},
        _10_hard=HARD,
    ),
    kubelet(
        "drop-ins alone have no defaults",
        expect={"failSwapOn": False, "evictionHard": {"memory.available": "300Mi"}},
        _10_hard=ON + HARD,
    ),
    kubelet("drop-ins without thresholds", expect={"evictionHard": {}}, _10_swap=ON),
    kubelet(
        "drop-ins in the order of their names",
        file=ON,
        expect={"evictionHard": {**DEFAULTS, "memory.available": "400Mi"}},
        _10_a=HARD,
        _20_b="evictionHard: {memory.available: 400Mi}\n",
    ),
    kubelet(
        "a folder of drop-ins at the place of its name",
        file=ON,
        expect={"evictionHard": {**DEFAULTS, "memory.available": "500Mi"}},
        _10_a="evictionHard: {memory.available: 400Mi}\n",
        _20_cli__z="evictionHard: {memory.available: 300Mi}\n",
        _30_b="evictionHard: {memory.available: 500Mi}\n",
    ),
    kubelet(
        "a null in a drop-in removes a threshold",
        file=ON + "evictionHard: {memory.available: 300Mi, nodefs.available: 10%}\n",
        expect={"evictionHard": {"nodefs.available": "10%"}},
        _10_a="evictionHard: {memory.available: null}\n",
    ),
    kubelet(
        "a null in a drop-in removes the map",
        file=ON + HARD,
        expect={"evictionHard": {}},
        _10_a="evictionHard: null\n",
    ),
    kubelet(
        "a flag replaces the file's map",
        "--eviction-hard=memory.available<750Mi,nodefs.available<10%",
        file=ON + "evictionHard: {memory.available: 300Mi, imagefs.available: 15%}\n",
        expect={"evictionHard": {"memory.available": "750Mi", "nodefs.available": "10%"}},
    ),
    kubelet(
        "a flag without a file",
        OFF_FLAG,
        "--eviction-hard=memory.available<5%",
        expect={"evictionHard": {"memory.available": "5%"}},
    ),
    kubelet(
        "a flag twice adds up",
        "--eviction-hard=memory.available<750Mi",
        "--eviction-hard=nodefs.available<10%",
        file=ON,
        expect={"evictionHard": {"memory.available": "750Mi", "nodefs.available": "10%"}},
    ),
    kubelet("an empty flag switches all off", "--eviction-hard=", file=ON, expect={"evictionHard": {}}),
    kubelet(
        "a flag wins over a drop-in",
        "--eviction-hard",
        "memory.available<750Mi",
        file=ON,
        expect={"evictionHard": {"memory.available": "750Mi"}},
        _10_hard=HARD,
    ),
    kubelet(
        "a flag with underscores",
        "--eviction_hard=memory.available<750Mi",
        file=ON,
        expect={"evictionHard": {"memory.available": "750Mi"}},
    ),
    kubelet(
        "a flag does not merge the defaults",
        "--eviction-hard=memory.available<750Mi",
        file=f"{ON}mergeDefaultEvictionSettings: true\n",
        expect={"evictionHard": {"memory.available": "750Mi"}},
    ),
    kubelet(
        "soft thresholds in the file",
        file=ON + SOFT,
        expect={
            "evictionSoft": {"memory.available": "2Gi"},
            "evictionSoftGracePeriod": {"memory.available": "30s"},
        },
    ),
    kubelet(
        "soft thresholds as flags",
        OFF_FLAG,
        "--eviction-soft=memory.available<1Gi",
        "--eviction-soft-grace-period=memory.available=1m30s",
        expect={
            "evictionSoft": {"memory.available": "1Gi"},
            "evictionSoftGracePeriod": {"memory.available": "1m30s"},
        },
    ),
    kubelet(
        "soft flags replace the file's",
        "--eviction-soft=nodefs.available<15%",
        "--eviction-soft-grace-period=nodefs.available=2m",
        file=ON + SOFT,
        expect={
            "evictionSoft": {"nodefs.available": "15%"},
            "evictionSoftGracePeriod": {"nodefs.available": "2m"},
        },
    ),
    kubelet(
        "reserves in the file",
        file=f"{ON}systemReserved: {{memory: 64Mi, cpu: 100m}}\nkubeReserved: {{memory: 32Mi}}\n",
        expect={"systemReserved": {"memory": "64Mi", "cpu": "100m"}, "kubeReserved": {"memory": "32Mi"}},
    ),
    kubelet(
        "a reserve as a flag replaces the file's",
        "--system-reserved=memory=48Mi",
        file=f"{ON}systemReserved: {{memory: 64Mi, cpu: 100m}}\n",
        expect={"systemReserved": {"memory": "48Mi"}},
    ),
    kubelet(
        "a drop-in adds to a reserve",
        file=f"{ON}systemReserved: {{memory: 64Mi}}\n",
        expect={"systemReserved": {"memory": "64Mi", "cpu": "100m"}},
        _10_cpu="systemReserved: {cpu: 100m}\n",
    ),
    kubelet(
        "feature gates as flags are merged",
        "--feature-gates=QOSReserved=true",
        "--qos-reserved=memory=50%",
        file=f"{ON}featureGates: {{KubeletInUserNamespace: false}}\n",
        expect={
            "featureGates": {"KubeletInUserNamespace": False, "QOSReserved": True},
            "qosReserved": {"memory": "50%"},
        },
    ),
    kubelet(
        "the file swaps with limits",
        file=f"{ON}memorySwap: {{swapBehavior: LimitedSwap}}\n",
        expect={"memorySwap": {"swapBehavior": "LimitedSwap"}},
    ),
    kubelet(
        "a drop-in takes the swap away",
        file=f"{ON}memorySwap: {{swapBehavior: LimitedSwap}}\n",
        expect={"memorySwap": {"swapBehavior": "NoSwap"}},
        _90_swap="memorySwap: {swapBehavior: NoSwap}\n",
    ),
    kubelet(
        "no pods are limited", file=f"{ON}enforceNodeAllocatable: []\n", expect={"enforceNodeAllocatable": []}
    ),
    kubelet(
        "nothing is enforced, by a flag",
        "--enforce-node-allocatable=none",
        file=ON,
        expect={"enforceNodeAllocatable": ["none"]},
    ),
    kubelet(
        "images are deleted late, and no CPU quota",
        "--image-gc-high-threshold=95",
        "--cpu-cfs-quota=false",
        file=ON,
        expect={"imageGCHighThresholdPercent": 95, "cpuCFSQuota": False},
    ),
    kubelet(
        "swap is refused by default",
        file="",
        expect={},
    )._replace(files={FILE: "maxPods: 20\n"}, expect={"failSwapOn": True}, refused="swap"),
    kubelet("a flag refuses swap", "--fail-swap-on=true", file=ON, expect={"failSwapOn": True})._replace(
        refused="swap"
    ),
    kubelet(
        "an old word for swap", file=f"{ON}memorySwap: {{swapBehavior: UnlimitedSwap}}\n", expect={}
    )._replace(refused="must be one of"),
    kubelet(
        "a feature gate that is locked",
        "--feature-gates=NodeSwap=false",
        file=ON,
        expect={"failSwapOn": False},
    )._replace(refused="NodeSwap"),
    kubelet(
        "a soft threshold without a time", file=f"{ON}evictionSoft: {{memory.available: 2Gi}}\n", expect={}
    )._replace(refused="grace period"),
    Row(
        "k3s with a title and its own flags",
        ("/usr/local/bin/k3s server",),
        {
            f"{K3S}/00-k3s-defaults.conf": K3S_DEFAULTS,
            "/etc/rancher/k3s/config.yaml": "kubelet-arg: [eviction-hard=memory.available<1Gi]\n",
        },
        {"failSwapOn": False, "evictionHard": {"memory.available": "1Gi"}},
        (f"--config-dir={K3S}", "--eviction-hard=memory.available<1Gi"),
        cgroup="/system.slice/k3s.service",
    ),
    Row(
        "k3s as it comes",
        ("/usr/local/bin/k3s agent",),
        {f"{K3S}/00-k3s-defaults.conf": K3S_DEFAULTS},
        {"failSwapOn": False, "evictionHard": {"imagefs.available": "5%", "nodefs.available": "5%"}},
        (f"--config-dir={K3S}",),
        cgroup="/system.slice/k3s-agent.service",
    ),
    Row(
        "k3s before it had drop-ins",
        ("/usr/local/bin/k3s", "agent", "--kubelet-arg=system-reserved=memory=64Mi"),
        {},
        {
            "failSwapOn": False,
            "evictionHard": {"imagefs.available": "5%", "nodefs.available": "5%"},
            "systemReserved": {"memory": "64Mi"},
        },
        (
            OFF_FLAG,
            "--eviction-hard=imagefs.available<5%,nodefs.available<5%",
            "--system-reserved=memory=64Mi",
        ),
        cgroup="/system.slice/k3s-agent.service",
    ),
    Row(
        "MicroK8s",
        ("/snap/microk8s/7232/kubelite", "--kubelet-args-file=/var/snap/microk8s/7232/args/kubelet"),
        {
            "/var/snap/microk8s/7232/args/kubelet": (
                "# comment\n--fail-swap-on=false\n"
                '--eviction-hard="memory.available<100Mi,nodefs.available<1Gi,imagefs.available<1Gi"\n'
                "--root-dir=${SNAP_COMMON}/var/lib/kubelet\n"
            )
        },
        {
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1Gi",
                "imagefs.available": "1Gi",
            }
        },
        (OFF_FLAG, "--eviction-hard=memory.available<100Mi,nodefs.available<1Gi,imagefs.available<1Gi"),
        cgroup="/system.slice/snap.microk8s.daemon-kubelite.service",
    ),
)


def write_files(root: Path, row: Row) -> None:
    """Write a row's files below a root."""
    for path, text in row.files.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(HEAD + text if "kubelet.conf.d" in path or path == FILE else text)


def real_flags(root: Path, row: Row) -> list[str]:
    """The kubelet's own flags, for files below a root."""
    words = row.real if row.real is not None else row.words[1:]
    return [re.sub("^(--config(?:-dir)?)=/", rf"\1={root}/", word) for word in words]


def filled(configuration: KubeletConfiguration) -> KubeletConfiguration:
    """A configuration in which nothing is left to a default."""
    return msgspec.structs.replace(
        configuration,
        eviction_hard=dict(configuration.eviction_hard or {}),
        eviction_soft=configuration.eviction_soft or {},
        eviction_soft_grace_period=configuration.eviction_soft_grace_period or {},
        system_reserved=configuration.system_reserved or {},
        kube_reserved=configuration.kube_reserved or {},
        qos_reserved=configuration.qos_reserved or {},
        feature_gates=configuration.feature_gates or {},
        enforce_node_allocatable=["pods"]
        if configuration.enforce_node_allocatable is None
        else configuration.enforce_node_allocatable,
        memory_swap=type(configuration.memory_swap)(configuration.memory_swap.swap_behavior or "NoSwap"),
        memory_throttling_factor=configuration.memory_throttling_factor or 0.9,
    )
