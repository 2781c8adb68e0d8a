"""The READMEs show two nodes; the facts collected there are given here."""

import pytest

from overbook.cli.commands.node.doctor import render
from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.kernel.capabilities import KernelCapabilities
from overbook.node.doctor.diagnosis import diagnose
from overbook.node.doctor.facts import HostState, SwapDevice
from overbook.node.tune.watermark import Watermarks
from tests.docs.reading import ROOT

KERNEL = KernelCapabilities(memory_controller="Enabled", swap_counted=True, page_bytes=4096)

BROKEN = HostState(
    memory_bytes=2142425088,
    cgroup_version=2,
    kernel=KERNEL,
    killers=(),
    places=(),
    pressure=True,
    swap=(SwapDevice("/dev/loop0", 268431360, "loop", "/dev/loop0"),),
    percent=125,
    provisioning=(
        "KubeletRefusesSwap",
        (
            "the kubelet of this node does not start with swap on: set failSwapOn: false in "
            "/etc/kubernetes/kubelet.yaml; swap stays off until then"
        ),
    ),
    kubelet=KubeletConfiguration(fail_swap_on=True),
    kubelet_limits=True,
    swappiness=60,
    overcommit_memory=0,
    panic_on_oom=1,
    watermarks=Watermarks(46133248, 57663488, 2142425088),
    system_swap_max="max",
    leftovers=("run/containers/oci/hooks.d/swap-for-burstable.json", "opt/oci-hook-swap.sh"),
)
K3S = HostState(
    memory_bytes=17179869184,
    cgroup_version=2,
    kernel=KERNEL,
    pressure=True,
    swap=(SwapDevice("/dev/vda2", 8589934592, "virtual", "/dev/vda2"),),
    percent=150,
    kubelet=KubeletConfiguration(fail_swap_on=False, eviction_hard={"memory.available": "1Gi"}),
    kubelet_limits=True,
    killers=(),
    places=(),
    swappiness=60,
    overcommit_memory=1,
    panic_on_oom=0,
    watermarks=Watermarks(40960000, 614400000, 16384000000),
    system_swap_max="0",
)


@pytest.mark.parametrize("page", ["README.md", "README.ja.md"])
def test_the_doctors_output_shown_is_real(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for facts, options in ((BROKEN, ""), (K3S, " --percent 150")):
        shown = text.partition(f"```console\n$ overbook node doctor{options}\n")[2].partition("```")[0]
        assert shown == "\n".join(render(diagnose(facts))) + "\n"
