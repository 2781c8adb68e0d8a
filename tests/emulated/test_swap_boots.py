import json
import pathlib

from overbook.node.swap import FOLDER, KEEP_UNIT, MAKE_UNIT, ON_UNIT
from tests.emulated.systemd_node import SystemdNode, python_line

KUBELET = """[Unit]
Description=Stand-in for the kubelet, ordered as the real one

[Service]
ExecStart=/bin/sh -c 'cp /proc/swaps /root/seen/by-kubelet; exec sleep infinity'
"""
APPLY = python_line("overbook", "node", "swap", "apply", "--size", "24Mi")
STATUS = python_line("overbook", "node", "swap", "status", "--output", "json")
REMOVE = python_line("overbook", "node", "swap", "remove")
SWAPPED_OFF = f"""
mkdir -p /run/systemd/system/{KEEP_UNIT}.d
echo '[Timer]
OnActiveSec=
OnActiveSec=2
OnUnitInactiveSec=2
AccuracySec=1' >/run/systemd/system/{KEEP_UNIT}.d/sooner.conf
{APPLY} --keep-on >/dev/null; echo keep $?
swapoff -a; echo off $(grep -c swapfile /proc/swaps)
until grep -q swapfile /proc/swaps; do sleep 0.2; done; echo on again
"""
SETTLED = f"""
until [ "$(systemctl show -p ActiveState --value {MAKE_UNIT})" != active ]; do sleep 0.2; done
systemctl is-active kubelet.service
grep . /run/overbook/swap.state
grep -c swapfile /proc/swaps
"""


def test_swap_is_on_before_the_kubelet_at_every_boot(
    tmp_path: pathlib.Path,
) -> None:
    node = SystemdNode(tmp_path, units={"kubelet.service": KUBELET})

    first = node.boot(
        f"{APPLY} --disk-floor 8Mi --disk-floor-percent 1; echo status $?; cat /proc/swaps; {SWAPPED_OFF}"
    )
    assert "status 0" in first
    assert f"enabled {ON_UNIT} and {MAKE_UNIT}: swap is turned on after every boot" in first
    assert FOLDER in first[-4]
    assert first[-3:] == ["keep 0", "off 0", "on again"]

    second = node.boot(
        f"grep -c swapfile /root/seen/by-kubelet; systemctl is-active {KEEP_UNIT}\n"
        f"{SETTLED} {STATUS} | tr -d '\\n '; echo"
        # Then all is lost, and there is no room to make it again.
        f"; swapoff -a; rm {FOLDER}/*; dd if=/dev/zero of=/disk/filler bs=1M 2>/dev/null; sync"
    )
    assert second[0] == "1", "the kubelet started before swap was on"
    assert second[1:4] == ["active", "active", "state=Ready"]
    assert second[-2] == "1"
    status = json.loads(second[-1])
    assert status["state"] == "Ready"
    assert [area["activeBytes"] for area in status["areas"]] == [24 << 20]

    third = node.boot(f"{SETTLED} {REMOVE}; find /disk -name '*overbook-*' -o -name 'swap*'")
    assert third[:2] == ["active", "state=DiskFull"]
    assert "MiB free" in third[2]
    assert third[3] == "0"
    assert third[-1] == "all files and units of swap are removed from this node"
