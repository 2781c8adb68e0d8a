"""The page on virtual machines: the effect of the percentage, and where it must not apply."""

from overbook.cli.commands.explain.topics.here import Here
from overbook.core.kubevirt.memory import request_bytes
from overbook.core.kubevirt.obstacles import FINDINGS
from overbook.core.kubevirt.overhead import overhead_bytes
from overbook.core.kubevirt.vm import Cpu, Domain, GuestMemory, InstanceSpec, VirtualMachineInstance
from overbook.core.overcommit.swap import covered_bytes, node_swap_bytes
from overbook.core.text import shown

TITLE = "Virtual machines: what the percentage does to a VM's pod, and where it must not apply"
_EXAMPLE_GUEST = 4 << 30


def page(here: Here) -> str:
    """The page."""
    percent = here.percent if here.percent is not None and here.percent > 100 else 150
    domain = Domain(memory=GuestMemory(guest="4Gi"), cpu=Cpu(cores=2))
    overhead = overhead_bytes(VirtualMachineInstance(spec=InstanceSpec(domain=domain)))
    request = request_bytes(_EXAMPLE_GUEST, overhead, percent)
    memory = here.ordinary_bytes or 16 << 30
    covered = covered_bytes(request, memory, node_swap_bytes(memory, percent))
    cases = "\n".join(
        f"- {'danger' if severity == 'MustNotApply' else 'no effect'}: {sentence}."
        for severity, sentence in FINDINGS.values()
    )
    return f"""
memoryOvercommitPercentage is one number for the cluster. At {percent} % KubeVirt requests less memory
than the guest sees: the launcher pod requests guest × 100 / {percent}, plus an overhead for QEMU and
its helpers. The guest still sees all of its memory, and what does not fit in RAM goes to swap.

  guest of 4Gi, 2 vCPUs    request {shown(request)}, of which {shown(overhead)} overhead
  with the formula's swap  request and swap share hold {shown(covered)}

So memory.guest is what to set. A pod made so is Burstable and may swap. It is also easier to kill: the
smaller its request, the higher its oom_score_adj. A change of the percentage reaches a running VM when
it migrates or restarts.

Where the percentage has no effect, and where it does harm:

{cases}

Guest memory that cannot be swapped (large pages, devices with direct access, encrypted or realtime
guests) is never saved by swap. Live migration and memory snapshots read all of a guest's memory and so
bring swapped pages back: leave room for that.

`overbook explain VM.yaml --percent {percent}` says which of this holds for your VM.
"""
