"""The doctor where kernel, cgroups or zswap are in the way; its fixes are typed as they are shown."""

import pathlib

import pytest

from tests.node.doctor.kernel_host import BURSTABLE, CONTAINER, GIB, POD, KernelHost

ZSWAP = "sys/module/zswap/parameters"


@pytest.fixture
def host(tmp_path: pathlib.Path) -> KernelHost:
    return KernelHost(tmp_path)


def test_a_healthy_kernel_has_no_finding(host: KernelHost) -> None:
    assert host.findings() == []
    fine = host.fine()
    assert fine["cgroup"] == "version 2; memory and swap are counted for each cgroup"
    assert fine["kernel"] == "memory.reclaim; pages of 4Ki"
    assert fine["rooms"] == f"no limit of swap above containers: kubepods.slice, {BURSTABLE}"
    assert "zswap" not in fine


def test_no_fix_of_swap_is_shown_where_swap_is_not_counted(host: KernelHost) -> None:
    for path in (host.root / "sys/fs/cgroup").rglob("memory.swap.*"):
        path.unlink()
    host.write("proc/cmdline", "swapaccount=0\n")

    (finding,) = host.findings()

    assert (finding.severity, finding.word) == ("Broken", "SwapNotCounted")
    assert finding.fix == "boot the node with swapaccount=1, and without swapaccount=0"
    assert "writer" not in host.fine()


def test_a_firmware_that_disables_memory_is_named(host: KernelHost) -> None:
    host.cgroup("", cgroup__controllers="cpuset cpu io pids\n")
    host.write("proc/cgroups", "memory\t0\t1\t0\n")

    (finding,) = host.findings()

    assert (finding.severity, finding.word) == ("Broken", "MemoryNotCounted")
    assert "switched off at boot" in finding.sentence
    assert "cgroup_enable=memory" in finding.fix


def test_a_cgroup_that_does_not_enable_memory_is_fixed(host: KernelHost) -> None:
    host.cgroup("kubepods.slice", cgroup__subtree_control="cpu\n")
    (finding,) = host.findings()
    assert "kubepods.slice does not enable the memory controller" in finding.sentence

    host.type(finding.fix)

    # A real kernel adds to the list; a file is replaced.
    for control in (host.root / "sys/fs/cgroup").rglob("cgroup.subtree_control"):
        control.write_text("cpu memory\n")
    assert host.findings() == []


@pytest.mark.parametrize("path", ["kubepods.slice", BURSTABLE, POD])
def test_a_limit_of_0_above_containers_is_lifted_by_its_fix(host: KernelHost, path: str) -> None:
    host.cgroup(path, memory__swap__max="0\n")
    (finding,) = host.findings()
    assert (finding.severity, finding.word) == ("Broken", "SwapForbidden")

    host.type(finding.fix)

    assert host.findings() == []


def test_a_unit_that_forbids_swap_is_set_for_good(host: KernelHost) -> None:
    drop_in = "etc/systemd/system/kubepods.slice.d/zz-site.conf"
    host.write(drop_in, "[Slice]\nMemorySwapMax=0\n")
    host.cgroup("kubepods.slice", memory__swap__max="0\n")
    (finding,) = host.findings()

    host.type(finding.fix)

    assert host.findings() == []
    written = host.root / "etc/systemd/system/kubepods.slice.d/zzz-site.conf"
    assert written.read_text() == "[Slice]\nMemorySwapMax=infinity\n"


def test_a_node_in_lxd_is_told_about_its_host(host: KernelHost) -> None:
    host.cgroup("", memory__swap__max="0\n")

    (finding,) = host.findings()

    assert finding.word == "SwapForbidden"
    assert "this node's root cgroup" in finding.sentence
    assert "limits.memory.swap true" in finding.fix


def test_a_limit_below_what_is_needed_is_risky(host: KernelHost) -> None:
    host.cgroup("kubepods.slice", memory__swap__max=f"{2 * GIB}\n")
    (finding,) = host.findings()
    assert (finding.severity, finding.word) == ("Risky", "SwapBounded")
    assert "2Gi together" in finding.sentence
    host.type(finding.fix)
    assert host.findings() == []


def test_best_effort_pods_without_swap_are_no_finding(host: KernelHost) -> None:
    host.cgroup("kubepods.slice/kubepods-besteffort.slice", memory__swap__max="0\n")
    assert host.findings() == []


def test_stalls_that_are_off_for_pods_are_switched_on(host: KernelHost) -> None:
    (host.root / "sys/fs/cgroup" / CONTAINER / "memory.pressure").unlink()
    host.cgroup(CONTAINER, cgroup__pressure="0\n")
    (finding,) = host.findings()
    assert finding.word == "NoCgroupPressure"
    host.type(finding.fix)
    assert (host.root / "sys/fs/cgroup" / CONTAINER / "cgroup.pressure").read_text() == "1\n"


@pytest.mark.parametrize(
    ("release", "arguments", "fix"),
    [
        ("", "quiet\n", "boot the node with psi=1"),
        ("", "psi=1\n", "boot a kernel with CONFIG_PSI=y"),
        ("6.1", "quiet\n", "boot a kernel with CONFIG_PSI=y"),
    ],
)
def test_psi_that_is_not_built_has_another_fix(
    host: KernelHost, release: str, arguments: str, fix: str
) -> None:
    for name in ("cpu", "io", "memory"):
        (host.root / "proc/pressure" / name).unlink()
    host.write("proc/cmdline", arguments)
    if release:
        host.write("proc/sys/kernel/osrelease", f"{release}\n")
        host.write(f"boot/config-{release}", "# CONFIG_PSI is not set\n")

    assert [(each.word, each.fix) for each in host.findings()] == [("NoPressure", fix)]


def test_an_older_kernel_cannot_reclaim(host: KernelHost) -> None:
    for path in (host.root / "sys/fs/cgroup").rglob("memory.reclaim"):
        path.unlink()
    assert host.words() == ["NoReclaim"]


def test_zswap_is_shown_and_judged_by_its_part_of_ram(host: KernelHost) -> None:
    host.write(f"{ZSWAP}/enabled", "Y\n")
    host.write(f"{ZSWAP}/compressor", "lz4\n")
    host.write(f"{ZSWAP}/max_pool_percent", "20\n")
    (finding,) = host.findings()
    assert (finding.severity, finding.word) == ("Risky", "ZswapTakesRoom")
    assert finding.fix == "overbook node swap apply --size 11469Mi"

    host.write(f"{ZSWAP}/shrinker_enabled", "N\n")
    (finding,) = host.findings()
    host.type(finding.fix)

    assert host.findings() == []
    assert host.fine()["zswap"] == "on, lz4, at most 20 % of RAM, shrinks when memory is short"


def test_zswap_that_is_off_is_said_to_be_off(host: KernelHost) -> None:
    host.write(f"{ZSWAP}/enabled", "N\n")
    assert host.findings() == []
    assert host.fine()["zswap"] == "off"


def test_zswap_before_zram_compresses_twice(host: KernelHost) -> None:
    host.write(f"{ZSWAP}/enabled", "Y\n")
    host.device("zram0", "252:0")
    host.device("vda2", "254:2")
    head = "Filename\tType\tSize\tUsed\tPriority\n"
    host.write("proc/swaps", f"{head}/dev/zram0 partition 8388608 0 100\n")
    over = [each for each in host.findings() if each.word.startswith("Zswap")]
    assert [each.word for each in over] == ["ZswapOverZram"]
    host.type(over[0].fix)
    assert not any(word.startswith("Zswap") for word in host.words())

    host.write(f"{ZSWAP}/enabled", "Y\n")
    host.write("proc/swaps", f"{head}/dev/zram0 partition 4194304 0 100\n/dev/vda2 partition 8388608 0 1\n")
    assert "ZswapBeforeZram" in host.words()


@pytest.mark.parametrize("on", [True, False])
def test_pages_that_may_not_leave_zswap_are_found(host: KernelHost, on: bool) -> None:
    host.write(f"{ZSWAP}/enabled", "Y\n" if on else "N\n")
    host.cgroup("kubepods.slice", memory__zswap__writeback="0\n")
    (finding,) = host.findings()
    assert finding.word == "ZswapKeepsAll"
    assert ("zswap is off, so nothing" in finding.sentence) is not on
    host.type(finding.fix)
    assert host.findings() == []
