import pathlib
import re

import pytest

from overbook.node.swap import (
    FOLDER,
    MAKE_UNIT,
    ON_UNIT,
    SETTINGS,
    UNIT_FOLDER,
    SwapSettings,
    host_files,
    read_settings,
)


def unit(name: str, settings: SwapSettings | None = None) -> str:
    return host_files(settings or SwapSettings())[f"{UNIT_FOLDER}/{name}"][0].decode()


def test_no_unit_waits_long_for_swap_or_needs_it() -> None:
    on, make = unit(ON_UNIT), unit(MAKE_UNIT)
    assert "Before=kubelet.service" in on
    assert "TimeoutStartSec=30" in on
    assert "kubelet" not in re.sub("#.*", "", make)
    assert not re.search("^(RequiredBy|UpheldBy)=", on + make, re.MULTILINE)


def test_the_units_wait_for_the_file_system_of_the_folder() -> None:
    elsewhere = SwapSettings(folder="/data/swap")
    for name in (ON_UNIT, MAKE_UNIT):
        assert "RequiresMountsFor=/data/swap\n" in unit(name, elsewhere)
        assert FOLDER not in unit(name, elsewhere)


@pytest.mark.parametrize(
    "settings",
    [
        SwapSettings(),
        SwapSettings(
            kind="device",
            device="PARTLABEL=swap",
            encrypt=True,
            kubelet_configs=("/etc/kubernetes/kubelet.conf", "/etc/openshift/kubelet.conf.d"),
            kubelet_fail_swap_on=False,
        ),
        SwapSettings(percent=150, size_bytes=1 << 33, discard="no", priority=0, kubelet_fail_swap_on=True),
    ],
)
def test_written_settings_are_read_back(tmp_path: pathlib.Path, settings: SwapSettings) -> None:
    (tmp_path / SETTINGS).parent.mkdir(parents=True)
    (tmp_path / SETTINGS).write_bytes(host_files(settings)[SETTINGS][0])
    assert read_settings(str(tmp_path)) == settings


@pytest.mark.parametrize(
    "kubelet_unit",
    ["kubelet.service", "k3s.service", "k3s-agent.service", "rke2-server.service", "k0sworker.service"],
)
def test_swap_comes_before_every_distributions_kubelet(kubelet_unit: str) -> None:
    assert f" {kubelet_unit}" in unit(ON_UNIT).replace("Before=", " ")


def test_swap_comes_before_a_kubelet_in_another_unit() -> None:
    own = host_files(SwapSettings(), "my-kubelet.service")[f"{UNIT_FOLDER}/{ON_UNIT}"][0].decode()

    assert "Before=my-kubelet.service\n" in own
    assert host_files(SwapSettings(), "k3s.service") == host_files(SwapSettings())
