"""The doctor's facts are read from trees of files; the kernel's own part is in tests/emulated."""

import json
import os
import pathlib
import socket

import pytest

from overbook.core.overcommit.allowance import SwapPolicy
from overbook.node.doctor.checks import CHECKS
from overbook.node.doctor.diagnosis import diagnose
from overbook.node.doctor.facts import HostState, SwapDevice
from overbook.node.doctor.look import host_facts
from overbook_sandbox.fakes.kernel_files import build_tree, make_cgroup, make_node

GIB = 1 << 30
MIB = 1 << 20
ZONE = """\
Node 0, zone   Normal
  pages free     23146
        min      10000
        low      {low}
        high     200000
        managed  4000000
"""
KUBELET = {"kind": "KubeletConfiguration", "failSwapOn": False}


class Host:
    """A host is a healthy node of files."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        make_node(root, mem_total_bytes=16 * GIB, swap_total_bytes=8 * GIB)
        build_tree(
            root,
            {
                "etc": {"fstab": "# nothing\n/dev/vda1 / ext4 defaults 0 1\n"},
                "run": {},
                "opt": {},
                "usr": {},
                "proc/zoneinfo": ZONE.format(low=150000),
                "proc/1": {"cmdline": "/sbin/init\0", "mountinfo": "1 0 254:1 / / rw - ext4 /dev/vda1 rw\n"},
                "proc/1/net/unix": "Num\n",
                "sys/devices/virtio/block/vda": {"queue/rotational": "1\n", "vda2/partition": "2\n"},
                "sys/dev/block": {},
            },
        )
        disk = root / "sys/devices/virtio/block/vda"
        (root / "sys/dev/block/254:0").symlink_to(os.path.relpath(disk, root / "sys/dev/block"))
        (root / "sys/dev/block/254:2").symlink_to(os.path.relpath(disk / "vda2", root / "sys/dev/block"))
        make_cgroup(root, "system.slice", {"memory.swap.max": "0\n"})
        make_cgroup(root, "system.slice/kubelet.service", {"memory.swap.max": "max\n"})
        self.kubelet(KUBELET)

    def kubelet(self, fields: dict[str, object]) -> None:
        self.process(
            700, "/usr/bin/kubelet", "--config=/etc/kubelet.yaml", cgroup="/system.slice/kubelet.service"
        )
        self.write(
            "etc/kubelet.yaml", "\n".join(f"{key}: {json.dumps(value)}" for key, value in fields.items())
        )

    def process(self, pid: int, *words: str, cgroup: str = "/") -> None:
        folder = {"cmdline": "".join(f"{word}\0" for word in words), "cgroup": f"0::{cgroup}\n"}
        build_tree(self.root / "proc" / str(pid), folder)

    def write(self, path: str, text: str = "") -> None:
        build_tree(self.root, {path: text})

    def facts(self, percent: int = 150) -> HostState:
        return host_facts(str(self.root), SwapPolicy(percent=percent))

    def words(self) -> set[str]:
        return {finding.word for finding in diagnose(self.facts()).findings}


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


def test_a_healthy_node_is_read_in_full(host: Host) -> None:
    facts = host.facts()

    assert diagnose(facts).findings == ()
    assert facts.unread == {}
    assert facts.swap == (SwapDevice("/dev/vda2", 8 * GIB, "virtual", "/dev/vda2", priority=-2),)
    assert facts.memory_bytes == 16 * GIB
    assert facts.demanded_bytes == 8 * GIB
    assert facts.kubelet is not None
    assert facts.kubelet_limits is True
    assert facts.system_swap_max == "0"
    assert facts.watermarks is not None
    assert facts.watermarks.low_bytes == 150000 * os.sysconf("SC_PAGE_SIZE")


def test_an_empty_root_is_unknown_and_never_healthy(tmp_path: pathlib.Path) -> None:
    diagnosis = diagnose(host_facts(str(tmp_path), SwapPolicy()))

    assert diagnosis.fine == ()
    assert {finding.word for finding in diagnosis.findings} == {"NotLooked"}
    assert len(diagnosis.findings) == len(CHECKS)


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        ("proc/swaps", "swap"),
        ("proc/zoneinfo", "watermarks"),
        ("proc/sys/vm/swappiness", "swappiness"),
        ("proc/pressure/memory", "pressure"),
        ("sys/fs/cgroup/system.slice/memory.swap.max", "system"),
        ("etc/kubelet.yaml", "kubelet"),
        ("proc/1/net/unix", "owners"),
    ],
)
def test_an_unreadable_file_makes_its_subject_unknown(host: Host, path: str, subject: str) -> None:
    (host.root / path).unlink()
    (host.root / path).mkdir()

    diagnosis = diagnose(host.facts())

    assert "NotLooked" in {finding.word for finding in diagnosis.findings}
    assert subject not in {fine.subject for fine in diagnosis.fine}
    assert any(path in finding.sentence for finding in diagnosis.findings)


def test_cgroup_version_1_and_a_hybrid_are_found(host: Host) -> None:
    (host.root / "sys/fs/cgroup/cgroup.controllers").unlink()
    (host.root / "sys/fs/cgroup/memory").mkdir()
    assert "CgroupV1" in host.words()

    host.write("sys/fs/cgroup/unified/cgroup.controllers")
    assert "CgroupV1" in host.words()


def test_a_failed_provisioning_is_reported(host: Host) -> None:
    host.write("run/overbook/swap.state", "state=DiskFull\nsentence=/var/lib has 1 MiB free\n")

    finding = diagnose(host.facts()).findings[0]

    assert (finding.word, finding.severity) == ("SwapNotProvisioned", "Broken")
    assert "(DiskFull): /var/lib has 1 MiB free" in finding.sentence


def test_the_kubelets_threshold_is_compared_with_the_watermark(host: Host) -> None:
    host.kubelet({**KUBELET, "evictionHard": {"memory.available": "2Gi"}})

    finding = diagnose(host.facts()).findings[0]

    assert finding.word == "WatermarkBelowEviction"
    assert "2Gi" in finding.sentence


def test_a_missing_memory_controller_is_found(host: Host) -> None:
    (host.root / "sys/fs/cgroup/system.slice/memory.swap.max").unlink()

    assert host.facts().system_swap_max == "max"


@pytest.mark.parametrize(
    ("path", "text", "word", "said"),
    [
        ("opt/oci-hook-swap.sh", "", "OriginalAgentLeftovers", "rm /opt/oci-hook-swap.sh"),
        (
            "run/containers/oci/hooks.d/swap-for-burstable.json",
            "{}",
            "OriginalAgentLeftovers",
            "rm /run/containers/oci/hooks.d/swap-for-burstable.json",
        ),
        ("etc/systemd/system/swap-provision.service", "", "OtherOwner", "swap-provision.service"),
        ("etc/systemd/system/swap-disk-enable.service", "", "OtherOwner", "virt-platform-autopilot"),
        ("etc/openshift/kubelet.conf.d/90-swap.conf", "", "OtherOwner", "virt-platform-autopilot"),
        ("proc/900/cmdline", "/usr/bin/wasp\0-v=1\0", "OtherOwner", "process 900"),
        ("etc/waagent.conf", "ResourceDisk.EnableSwap=y\n", "OtherOwner", "waagent"),
        ("etc/dphys-swapfile", "CONF_SWAPSIZE=100\n", "OtherOwner", "dphys-swapfile"),
        ("etc/cloud/cloud.cfg.d/9.cfg", "swap:\n  filename: /s\n", "OtherOwner", "cloud-init"),
        ("etc/rc.local", "#!/bin/sh\nswapoff -a\n", "SwapTurnedOff", "/etc/rc.local"),
        ("etc/cron.d/k8s", "@reboot root /sbin/swapoff -a\n", "SwapTurnedOff", "/etc/cron.d/k8s"),
        (
            "etc/systemd/system/no-swap.service",
            "[Service]\nExecStart=/sbin/swapoff -a\n",
            "SwapTurnedOff",
            "no-swap.service",
        ),
        ("opt/nri/plugins/10-tuner", "", "OtherNriPlugin", "10-tuner"),
        (
            "proc/1/net/unix",
            "Num\n" + "0: 00000003 00000000 00000000 0001 03 9 /run/nri/nri.sock\n" * 2,
            "OtherNriPlugin",
            "2 programs are connected by NRI",
        ),
    ],
)
def test_foreign_owners_of_swap_are_found(host: Host, path: str, text: str, word: str, said: str) -> None:
    host.write(path, text)

    found = {finding.word: finding for finding in diagnose(host.facts()).findings}

    assert said in f"{found[word].sentence} {found[word].fix}"


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("etc/fstab", "/swapfile none swap sw 0 0 # old\n", "/etc/fstab (/swapfile)"),
        ("etc/systemd/system/var-swapfile.swap", "", "/etc/systemd/system/var-swapfile.swap"),
        ("run/systemd/generator/dev-vda2.swap", "", "/run/systemd/generator/dev-vda2.swap"),
        ("usr/lib/systemd/system/var-swap.swap", "", "/usr/lib/systemd/system/var-swap.swap"),
        ("etc/systemd/system/mk.service", "ExecStart=swapon /s\n", "/etc/systemd/system/mk.service"),
        ("etc/systemd/zram-generator.conf", "[zram0]\n", "/etc/systemd/zram-generator.conf"),
    ],
)
def test_other_swap_at_boot_matters_only_beside_overbooks(
    host: Host, path: str, text: str, said: str
) -> None:
    host.write(path, text)
    assert diagnose(host.facts()).findings == ()
    assert host.facts().boot_swap == (said,)

    host.write("run/overbook/swap.state", "state=Ready\nsentence=swap is on\n")
    assert host.words() == {"OtherSwapAtBoot"}


def test_an_entry_of_fstab_that_is_not_for_boot_does_not_count(host: Host) -> None:
    host.write("etc/fstab", "/swapfile none swap sw,noauto 0 0\nLABEL=x /x ext4 noauto 0 0\n")

    assert host.facts().boot_swap == ()


def test_a_runtime_with_nri_is_seen_by_its_socket(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.root / "run/nri").mkdir()
    monkeypatch.chdir(host.root / "run/nri")  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("nri.sock")

        facts = host.facts()

    assert facts.nri_socket == "/run/nri/nri.sock"  # as the host calls it, wherever it is mounted
    fine = {one.subject: one.sentence for one in diagnose(facts).fine}
    assert fine["writer"].startswith("nri writes the swap limits")


def test_swap_devices_of_several_kinds_are_read(host: Host) -> None:
    host.write(
        "proc/swaps",
        "Filename Type Size Used Priority\n/dev/vda2 partition 1024 0 1\n/dev/gone partition 1024 0 1\n",
    )

    facts = host.facts(percent=100)

    assert [area.medium for area in facts.swap] == ["virtual", "unknown"]
    assert "/dev/gone" in facts.unread["swap"]


@pytest.mark.parametrize(
    ("areas", "words"),
    [
        (
            "/dev/zram0 partition 1024 0 100\n/dev/vda2 partition 8388604 0 -2\n",
            {"CompressedSwap", "SwapTiers"},
        ),
        (
            "/dev/zram0 partition 1024 0 -3\n/dev/vda2 partition 8388604 0 -2\n",
            {"CompressedSwap", "SwapOrder"},
        ),
        (
            "/dev/zram0 partition 1024 0 5\n/dev/vda2 partition 8388604 0 5\n",
            {"CompressedSwap", "SwapStriped"},
        ),
        ("/var/tmp/swapfile file 8388604 0 -2\n", {"SwapCleanedUp"}),  # noqa: S108
        ("/var/swapfile\\040(deleted) file 8388604 0 -2\n", {"SwapFileDeleted"}),
    ],
    ids=["zram first", "disk first", "striped", "cleaned up", "deleted"],
)
def test_the_areas_order_and_places_are_judged(host: Host, areas: str, words: set[str]) -> None:
    for name in ("virtual/block/zram0", "virtual/block/vda1"):
        build_tree(host.root / "sys/devices" / name, {"queue/rotational": "0\n"})
    for number, name in (("252:0", "zram0"), ("254:1", "vda1")):
        (host.root / "sys/dev/block" / number).symlink_to(f"../../devices/virtual/block/{name}")
    host.write("proc/swaps", f"Filename Type Size Used Priority\n{areas}")

    assert host.words() == words


@pytest.mark.parametrize(
    ("swaps", "words"),
    [
        ("", {"SwapSwitchedOff"}),
        ("/dev/vda2 partition 8388604 0 -2\n", {"SwapSwitchedOff", "UnexplainedSwap"}),
    ],
    ids=["all", "ours"],
)
def test_swap_that_was_switched_off_later_is_one_finding(host: Host, swaps: str, words: set[str]) -> None:
    host.write(
        "run/overbook/swap.state", "state=Ready\nsentence=8 MiB of swap are on: /var/lib/a/swapfile-8\n"
    )
    host.write("proc/swaps", f"Filename Type Size Used Priority\n{swaps}")

    diagnosis = diagnose(host.facts())

    assert {finding.word for finding in diagnosis.findings} == words
    assert "provisioning" not in {one.subject for one in diagnosis.fine}


def test_the_fix_of_network_swap_names_another_folder(host: Host) -> None:
    for name, number in (("virtual/block/rbd0", "251:0"), ("virtual/block/vda1", "254:1")):
        build_tree(host.root / "sys/devices" / name, {"queue/rotational": "0\n"})
        (host.root / "sys/dev/block" / number).symlink_to(f"../../devices/{name}")
    host.write(
        "proc/1/mountinfo",
        "1 0 254:1 / / rw - ext4 /dev/vda1 rw\n2 1 251:0 / /var/lib/overbook rw - xfs /dev/rbd0 rw\n",
    )
    host.write(
        "proc/swaps",
        "Filename Type Size Used Priority\n/var/lib/overbook/swap/swapfile-8 file 8388604 0 10\n",
    )

    (finding,) = diagnose(host.facts()).findings

    assert finding.word == "SwapOverNetwork"
    assert finding.fix == "overbook node swap apply --folder /var/lib/overbook-swap"


def test_an_area_that_nothing_explains_is_named(host: Host) -> None:
    host.write(
        "run/overbook/swap.state", "state=Ready\nsentence=8 MiB of swap are on: /var/lib/a/swapfile-8\n"
    )
    host.write(
        "proc/swaps",
        "Filename Type Size Used Priority\n/var/lib/a/swapfile-8 file 8388604 0 10\n"
        "/dev/vda2 partition 8 0 -2\n",
    )
    build_tree(host.root / "sys/devices/virtual/block/vda1", {"queue/rotational": "0\n"})
    (host.root / "sys/dev/block/254:1").symlink_to("../../devices/virtual/block/vda1")
    assert host.words() == {"UnexplainedSwap"}

    (host.root / "dev/disk/by-uuid").mkdir(parents=True)
    (host.root / "dev/disk/by-uuid/12-ab").symlink_to("../../vda2")
    host.write("etc/fstab", "UUID=12-ab none swap sw 0 0\n")
    assert host.words() == {"OtherSwapAtBoot"}


def test_no_absence_is_claimed_beyond_what_was_looked_at(host: Host) -> None:
    (fine,) = (one.sentence for one in diagnose(host.facts()).fine if one.subject == "owners")

    assert "was found in fstab, units, cron and boot scripts" in fine
    assert "none of these explains the swap on /dev/vda2" in fine


def test_encrypted_swap_stays_ours_if_settings_are_unseen(host: Host) -> None:
    build_tree(host.root / "sys/devices/virtual/block/dm-0", {"queue/rotational": "0\n"})
    (host.root / "sys/dev/block/253:0").symlink_to("../../devices/virtual/block/dm-0")
    host.write("run/overbook/swap.state", "state=Ready\nsentence=8 MiB of swap are on: /dev/vda3\n")
    host.write("proc/swaps", "Filename Type Size Used Priority\n/dev/dm-0 partition 8388604 0 10\n")

    assert host.words() == set()
