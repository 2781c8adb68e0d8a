"""Guards' logs as Debian's versions write them, seen in an emulated node."""

import pytest

from overbook_sandbox.density.guards.kill_reader import (
    EarlyoomReader,
    Kill,
    KillReader,
    NohangReader,
    OomdReader,
)

EARLYOOM = """\
mem avail:     8 of   400 MiB ( 2.15%), swap free:   17 of  199 MiB ( 8.63%)
low memory! at or below SIGTERM limits: mem 10.00%, swap 10.00%
sending SIGTERM to process 132 uid 0 "python": badness 1366, VmRSS 177 MiB
process exited after 0.1 seconds
"""
NOHANG = """\
>>=== STARTING implement_corrective_action() ====>>
Memory status that requires corrective actions:
  MemAvailable [8 MiB, 2.0 %] <= soft_min_mem [20 MiB, 5.0 %]
  SwapFree [17 MiB, 8.4 %] <= soft_threshold_min_swap [20 MiB, 10.0 %]
TOP-4 tasks by badness:
  Name                PID badness
  python              132    1546
TOP printed in 8ms; process with highest badness:
  PID: 131, name: python, badness: 1546
Victim status (found in 12ms):
  PID:       132, name: python, state: S (sleeping), EUID: 0, SID: 0 (), lifetime: 25.3s
  badness:   1546, oom_score:  1545, oom_score_adj:  751
Implementing a corrective action:
  Sending SIGTERM to the victim
OK; total response time: 38ms
What happened in the last 23.6s:
  [ OK ] Sending SIGTERM to python: 2
"""
SCOPE = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0_vm_1.slice/cri-1a7c.scope"
OOMD = f"""\
Memory used (410) / total (419) and swap used (205) / total (209) is more than 90.00%
Considered 3 cgroups for killing, top candidates were:
\tPath: /{SCOPE}
\t\tSwap Usage: 98.4M
Killed /{SCOPE} due to memory used (41) / total (42) and swap used (20) / total (21) being more than 90.00%
"""


def kills(reader: KillReader, log: str) -> list[Kill]:
    return [kill for line in log.splitlines() if (kill := reader.read(line)) is not None]


@pytest.mark.parametrize(
    ("reader", "log", "expected"),
    [
        (
            EarlyoomReader(),
            EARLYOOM,
            Kill("SIGTERM, badness 1366; at or below SIGTERM limits: mem 10.00%, swap 10.00%", 132),
        ),
        (
            NohangReader(),
            NOHANG,
            Kill(
                "SIGTERM, badness 1546; MemAvailable [8 MiB, 2.0 %] <= soft_min_mem [20 MiB, 5.0 %], "
                "SwapFree [17 MiB, 8.4 %] <= soft_threshold_min_swap [20 MiB, 10.0 %]",
                132,
            ),
        ),
        (
            OomdReader(),
            OOMD,
            Kill(
                "due to memory used (41) / total (42) and swap used (20) / total (21) being more than 90.00%",
                cgroup=SCOPE,
            ),
        ),
    ],
)
def test_one_kill_is_read_with_its_reason(reader: KillReader, log: str, expected: Kill) -> None:
    assert kills(reader, log) == [expected]
