"""The READMEs show one node twice; the facts collected there are given here each time."""

import pytest

from overbook.cli.commands.node.doctor import render
from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.node.doctor.diagnosis import diagnose
from overbook.node.doctor.facts import HostState, SwapDevice
from overbook.node.tune.watermark import Watermarks
from tests.docs.reading import ROOT

BROKEN = HostState(
    memory_bytes=2142425088,
    cgroup_version=2,
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
SWAPFILE = "/var/lib/overbook/swap/swapfile-535613440"
HEALTHY = HostState(
    memory_bytes=2142425088,
    cgroup_version=2,
    pressure=True,
    swap=(SwapDevice(SWAPFILE, 535609344, "virtual", "/dev/vda"),),
    percent=125,
    provisioning=("Ready", f"511 MiB of swap are on: {SWAPFILE}"),
    kubelet=KubeletConfiguration(fail_swap_on=False),
    kubelet_limits=True,
    swappiness=60,
    overcommit_memory=1,
    panic_on_oom=0,
    watermarks=Watermarks(46133248, 214097920, 2142425088),
    system_swap_max="0",
)


@pytest.mark.parametrize("page", ["README.md", "README.ja.md"])
def test_the_doctors_output_shown_is_real(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    shown = [part.partition("```")[0] for part in text.split("```console\n$ overbook node doctor\n")[1:]]

    assert shown == ["\n".join(render(diagnose(facts))) + "\n" for facts in (BROKEN, HEALTHY)]
