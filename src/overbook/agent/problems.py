"""The problems of a node that its agent knows, worst first, each with its fix."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

import msgspec

from overbook.core.api.overcommit import Unusable
from overbook.core.api.overcommit_node import MOST_PROBLEMS, Problem
from overbook.core.overcommit.swap import node_swap_bytes, swap_suffices
from overbook.core.overcommit.writer import Choice
from overbook.core.text import shortened
from overbook.node.doctor.check import HostFinding, HostSeverity

MIB: Final = 2**20
_KNOWN_HERE: Final = frozenset(
    {"NoSwap", "SwapTooSmall", "NoPressure", "SettingsExclude", "KubeletGivesSwapToAll"}
)
"""The doctor's findings that the agent knows by itself, and sooner."""


class NodeFindings(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The facts from which the problems follow.

    Attributes:
        node_name: name of the node.
        percent: ``memoryOvercommitPercentage``.
        memory_total_bytes: the node's RAM without huge pages.
        swap_total_bytes: the node's swap.
        swap_allowed_bytes: the sum of all allowances.
        pressure_known: whether the kernel reports memory pressure (PSI).
        reclaim_supported: whether the kernel has ``memory.reclaim``.
        contested_limits: number of containers whose swap limit another program writes, too.
        writer: the writer of swap limits; ``None``: not known yet.
        differing_limits: number of containers whose swap limit differs and is not the agent's to write.
        reserves_hindrance: why the classes' reserves are not kept; empty: they are, or are not configured.
        nobody_may_go: whether a pod has to leave and none may be evicted.
        other_agent: instance of another agent that writes for this node; empty: none.
        refused: the API server's refusal that keeps the agent from its work; empty: none.
        overcommit: why there is no ``Overcommit`` that can be followed; ``None``: there is one.
        doctor: the doctor's findings on the node.
        uncounted_swap: number of containers whose swap the kernel does not count.
        uncounted_memory: number of containers whose memory the kernel does not count.
        misplaced: the running pods without a container cgroup, each with its place, as sentences.
    """

    node_name: str
    percent: int
    memory_total_bytes: int
    swap_total_bytes: int
    swap_allowed_bytes: int = 0
    pressure_known: bool = True
    reclaim_supported: bool = True
    contested_limits: int = 0
    writer: Choice | None = None
    differing_limits: int = 0
    reserves_hindrance: str = ""
    nobody_may_go: bool = False
    other_agent: str = ""
    refused: str = ""
    overcommit: Unusable | None = None
    doctor: tuple[HostFinding, ...] = ()
    uncounted_swap: int = 0
    uncounted_memory: int = 0
    misplaced: tuple[str, ...] = ()


def node_problems(found: NodeFindings) -> tuple[Problem, ...]:
    """Return the problems, worst first, at most :data:`MOST_PROBLEMS`."""
    worst_first = chain(
        _at_once(found),
        _cgroups(found),
        _writer(found),
        _doctor(found, "Broken"),
        _swap(found),
        _kernel(found),
        _neighbours(found),
        _doctor(found, "Risky"),
    )
    return tuple(islice(worst_first, MOST_PROBLEMS))


def _at_once(found: NodeFindings) -> Iterator[Problem]:
    if found.other_agent:
        yield Problem(
            word="TwoAgents",
            sentence=f"another agent ({found.other_agent}) writes for node {found.node_name}, too",
            fix="kubectl get pods --all-namespaces --selector app.kubernetes.io/component=agent "
            f"--field-selector spec.nodeName={found.node_name}",
        )
    if found.refused:
        yield Problem(
            word="Refused",
            sentence=f"the API server refuses: {found.refused}",
            fix="kubectl describe clusterrole overbook-agent",
        )
    if found.overcommit is not None:
        yield Problem(
            word=found.overcommit.word,
            sentence=shortened(found.overcommit.sentence),
            fix=found.overcommit.fix,
        )
    if found.nobody_may_go:
        yield Problem(
            word="NobodyMayGo",
            sentence="a rule fires and no pod may be evicted: all are critical or use too little memory",
            fix=f"kubectl describe node {found.node_name}",
        )


def _cgroups(found: NodeFindings) -> Iterator[Problem]:
    if found.uncounted_memory:
        yield Problem(
            word="MemoryNotCounted",
            sentence=f"the kernel does not count the memory of {found.uncounted_memory} containers (no "
            "memory.current): nothing is known of them, and no limit is kept",
            fix="boot the node with cgroup_enable=memory, without cgroup_disable=memory",
        )
    if found.uncounted_swap:
        yield Problem(
            word="SwapNotCounted",
            sentence=f"the kernel does not count the swap of {found.uncounted_swap} containers (no "
            "memory.swap.max), so no swap limit can be kept, and none is written",
            fix="boot the node with swapaccount=1, on a kernel with CONFIG_SWAP and CONFIG_MEMCG",
        )
    if found.misplaced:
        number = len(found.misplaced)
        pods = "1 running pod has" if number == 1 else f"{number} running pods have"
        yield Problem(
            word="PodsMisplaced",
            sentence=shortened(
                f"{pods} no container cgroup below kubepods, so its memory is not known and no limit is "
                f"kept: {'; '.join(found.misplaced)}"
            ),
            fix="give the kubelet and the runtime the same cgroup driver (containerd: SystemdCgroup = true), "
            "and start the pods again; with Kata set sandbox_cgroup_only = true",
        )


def _swap(found: NodeFindings) -> Iterator[Problem]:
    ram, swap = found.memory_total_bytes, found.swap_total_bytes
    if not swap_suffices(ram, swap, found.percent):
        there = f"{swap // MIB} MiB of swap" if swap else "no swap"
        yield Problem(
            word="SwapTooSmall" if swap else "NoSwap",
            sentence=f"{there}; {found.percent} % of {ram // MIB} MiB of RAM needs "
            f"{node_swap_bytes(ram, found.percent) // MIB} MiB",
            fix=f"overbook node swap apply --percent {found.percent}",
        )
    if found.swap_allowed_bytes > swap > 0:
        yield Problem(
            word="SwapPromisedTwice",
            sentence=f"allowances of {found.swap_allowed_bytes // MIB} MiB exceed {swap // MIB} MiB of swap",
            fix="set swap.allowance to proportional or whole, or add swap",
        )


def _writer(found: NodeFindings) -> Iterator[Problem]:
    writer = found.writer
    if writer is None:
        return
    if writer.problem:
        nothing = "; until then no swap limit is written here" if writer.writer == "kubelet" else ""
        yield Problem(
            word="SwapWriter",
            sentence=shortened(writer.problem + nothing),
            fix="overbook node doctor",
        )
    elif writer.writer == "kubelet" and found.differing_limits:
        yield Problem(
            word="SwapLimitsDiffer",
            sentence=f"memory.swap.max of {found.differing_limits} containers differs from the kubelet's "
            "formula; they may be older than the node's swap",
            fix="restart these containers; the agent's log names them",
        )


def _kernel(found: NodeFindings) -> Iterator[Problem]:
    if not found.pressure_known:
        yield Problem(
            word="PressureUnknown",
            sentence="the kernel has PSI switched off, so the stall rule can never fire",
            fix="boot the node with psi=1",
        )
    if not found.reclaim_supported:
        yield Problem(
            word="NoReclaim",
            sentence="this kernel cannot reclaim on request, so pods are evicted without trying that first",
            fix="run Linux 5.19 or later",
        )


def _neighbours(found: NodeFindings) -> Iterator[Problem]:
    if found.contested_limits:
        yield Problem(
            word="SwapLimitsContested",
            sentence=f"another program writes memory.swap.max of {found.contested_limits} containers; "
            "the agent sets it again each time",
            fix="set the kubelet's memorySwap.swapBehavior to NoSwap, or stop the other agent",
        )
    if found.reserves_hindrance:
        yield Problem(
            word="ReservesNotKept",
            sentence=f"memory.max of QoS classes is left alone: {found.reserves_hindrance}",
            fix="set the agent's reserves.qosReservedMemoryPercent to 0, or remove the cause named here",
        )


def _doctor(found: NodeFindings, severity: HostSeverity) -> Iterator[Problem]:
    known = {problem.word for problem in chain(_cgroups(found), _kernel(found))} | _KNOWN_HERE
    for finding in found.doctor:
        if finding.severity == severity and finding.word not in known:
            yield Problem(word=finding.word, sentence=shortened(finding.sentence), fix=finding.fix)
