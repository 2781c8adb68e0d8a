import pathlib

import pytest

from overbook.node.killers import seconds
from tests.node.doctor.kernel_host import KernelHost

SLICE = "etc/systemd/system/-.slice.d/10-oomd.conf"


@pytest.fixture
def host(tmp_path: pathlib.Path) -> KernelHost:
    return KernelHost(tmp_path)


def oomd(host: KernelHost) -> None:
    host.process(600, "/usr/lib/systemd/systemd-oomd", cgroup="/system.slice/systemd-oomd.service")


def test_no_killer_is_said_only_as_far_as_it_was_looked_for(host: KernelHost) -> None:
    assert host.fine()["killers"] == "no process of systemd-oomd, earlyoom or nohang"

    host.opened(1, "/dev/null")
    host.process(1, "/sbin/init")
    assert "/proc/pressure/memory open" in host.fine()["killers"]


def test_oomd_kills_before_the_rule_until_its_fix_is_typed(host: KernelHost) -> None:
    oomd(host)
    host.write("usr/lib/systemd/system/-.slice.d/10-defaults.conf", "[Slice]\nManagedOOMSwap=kill\n")
    (finding,) = host.findings()
    assert (finding.severity, finding.word) == ("Risky", "KillsBefore")
    assert "21.6Gi together, before the rule on full swap fires at 22.4Gi" in finding.sentence

    host.type(finding.fix)

    assert host.words() == ["OtherKiller"]
    assert "no setting was found" in host.findings()[0].sentence


@pytest.mark.parametrize(
    ("path", "limit", "word"),
    [
        ("etc/systemd/oomd.conf", "SwapUsedLimit=99%", "OtherKiller"),
        ("etc/systemd/oomd.conf.d/10.conf", "SwapUsedLimit=999‰", "OtherKiller"),
        ("usr/lib/systemd/oomd.conf.d/10.conf", "SwapUsedLimit=50%", "KillsBefore"),
        ("etc/systemd/oomd.conf", "SwapUsedLimitPercent=99%", "OtherKiller"),
        ("etc/systemd/oomd.conf", "#SwapUsedLimit=99%", "KillsBefore"),
    ],
)
def test_the_limit_of_oomd_is_compared_by_the_rules_formula(
    host: KernelHost, path: str, limit: str, word: str
) -> None:
    oomd(host)
    host.write(SLICE, "[Slice]\nManagedOOMSwap=kill\n")
    host.write(path, f"[OOM]\n{limit}\n")
    assert host.words() == [word]


@pytest.mark.parametrize(
    ("lines", "word", "said"),
    [
        ("ManagedOOMMemoryPressure=kill", "OtherKiller", "60 % of the time for 30 s, after"),
        (
            "ManagedOOMMemoryPressure=kill\nManagedOOMMemoryPressureLimit=10%",
            "KillsBefore",
            "10 % of the time for 30 s, before",
        ),
        (
            "ManagedOOMMemoryPressure=kill\nManagedOOMMemoryPressureDurationSec=1s",
            "KillsBefore",
            "60 % of the time for 1 s, before",
        ),
    ],
)
def test_oomds_limit_for_stalls_is_compared_too(host: KernelHost, lines: str, word: str, said: str) -> None:
    oomd(host)
    host.write("etc/systemd/system/kubepods.slice.d/x.conf", f"[Slice]\n{lines}\n")
    (finding,) = host.findings()
    assert finding.word == word
    assert said in finding.sentence
    assert "kubepods.slice" in finding.sentence


def test_one_fix_takes_a_unit_out_of_both_of_oomds_lists(host: KernelHost) -> None:
    oomd(host)
    both = "[Slice]\nManagedOOMSwap=kill\nManagedOOMMemoryPressure=kill\n"
    host.write(SLICE, both)
    host.write("etc/systemd/system/system.slice.d/10.conf", both)
    (finding,) = host.findings()
    host.type(finding.fix)
    assert "no setting was found" in host.findings()[0].sentence


def test_oomd_that_watches_no_pod_kills_none(host: KernelHost) -> None:
    oomd(host)
    host.write("etc/systemd/system/user.slice.d/10.conf", "[Slice]\nManagedOOMSwap=kill\n")
    assert host.words() == ["OtherKiller"]


@pytest.mark.parametrize(
    ("flags", "word", "together"),
    [
        ((), "KillsBefore", "21.6Gi"),
        (("-m", "10", "-s", "50"), "KillsBefore", "18.4Gi"),
        (("-m2", "-s", "10,5"), "OtherKiller", "22.88Gi"),
        (("-m", "2,1", "-s", "100"), "KillsBefore", "15.68Gi"),
        (("-M", "1048576,524288", "-s", "10"), "KillsBefore", "22.2Gi"),
        (("-M", "102400", "-S", "102400"), "OtherKiller", "23.8Gi"),
    ],
)
def test_earlyooms_flags_are_compared_by_the_rules_formula(
    host: KernelHost, flags: tuple[str, ...], word: str, together: str
) -> None:
    host.process(601, "/usr/bin/earlyoom", "-r", "3600", *flags, cgroup="/system.slice/earlyoom.service")
    (finding,) = host.findings()
    assert finding.word == word
    assert f"{together} together" in finding.sentence
    assert finding.fix == "systemctl disable --now earlyoom.service"


def test_nohang_is_read_from_its_file(host: KernelHost) -> None:
    command = ("/usr/bin/python3", "/usr/sbin/nohang", "--monitor", "--config", "/etc/nohang/nohang.conf")
    host.process(602, *command, cgroup="/system.slice/nohang.service")
    assert host.words() == ["OtherKiller"]
    assert "/etc/nohang/nohang.conf are not known" in host.findings()[0].sentence

    host.write("etc/nohang/nohang.conf", "soft_threshold_min_mem = 5 %\nsoft_threshold_min_swap = 4096 M\n")
    (finding,) = host.findings()
    assert finding.word == "KillsBefore"
    assert "19.2Gi together" in finding.sentence


def test_nohangs_stalls_count_only_if_it_looks_at_them(host: KernelHost) -> None:
    host.process(602, "/usr/sbin/nohang", "--monitor", "-c", "/etc/n.conf")
    text = "soft_threshold_min_mem = 1 %\nsoft_threshold_min_swap = 1 %\nsoft_threshold_max_psi = 20\n"
    host.write("etc/n.conf", f"{text}psi_checking_enabled = False\n")
    assert host.words() == ["OtherKiller"]
    host.write("etc/n.conf", f"{text}psi_checking_enabled = True\npsi_excess_duration = 30\n")
    assert host.words() == ["KillsBefore"]


def test_an_unknown_program_that_watches_the_memory_is_noted(host: KernelHost) -> None:
    host.process(603, "/opt/site/memguard", "--hard", cgroup="/system.slice/memguard.service")
    host.opened(603, "/proc/pressure/memory")
    (finding,) = host.findings()
    assert (finding.severity, finding.word) == ("Note", "OtherKiller")
    assert "memguard (process 603)" in finding.sentence


@pytest.mark.parametrize(
    ("words", "cgroup"),
    [
        (("/usr/bin/python3", "-m", "overbook", "agent"), "/system.slice/overbook.service"),
        (("/bin/exporter",), "/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope"),
        (("/usr/lib/systemd/systemd-journald",), "/system.slice/systemd-journald.service"),
    ],
)
def test_programs_that_only_read_are_not_noted(host: KernelHost, words: tuple[str, ...], cgroup: str) -> None:
    host.process(604, *words, cgroup=cgroup)
    host.opened(604, "/proc/meminfo")
    assert host.findings() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20s", 20.0), ("1min 30s", 90.0), ("5", 5.0), ("500ms", 0.5), ("", None), ("soon", None), (None, None)],
)
def test_time_spans_are_read_as_systemd_writes_them(text: str | None, expected: float | None) -> None:
    assert seconds(text) == expected
