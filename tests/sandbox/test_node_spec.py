from overbook_sandbox.machine.spec import (
    GIBIBYTE,
    MEBIBYTE,
    MachineSpec,
    kernel_command_line,
    machine_memory_mebibytes,
    qemu_argv,
)


def argv(spec: MachineSpec, *, swap_disk: str | None = "/swap", output_fd: int | None = 7) -> list[str]:
    return qemu_argv(
        spec,
        qemu="/usr/bin/qemu",
        kernel="/kernel",
        initramfs="/initramfs",
        share="/tmp/a,b",  # noqa: S108 - a name, nothing is written
        swap_disk=swap_disk,
        output_fd=output_fd,
    )


def value(arguments: list[str], option: str) -> str:
    return arguments[arguments.index(option) + 1]


def test_the_machine_has_more_memory_than_the_node_reports() -> None:
    assert value(argv(MachineSpec(memory_bytes=GIBIBYTE)), "-m") == "1089M"
    assert machine_memory_mebibytes(512 * MEBIBYTE) > 512


def test_cpus_are_passed_to_qemu() -> None:
    assert value(argv(MachineSpec(cpus=2)), "-smp") == "2"


def test_a_comma_in_a_path_does_not_end_the_option() -> None:
    assert any("path=/tmp/a,,b," in argument for argument in argv(MachineSpec()))


def test_the_hosts_files_are_read_only_and_the_share_is_not() -> None:
    host, share = (word for word in argv(MachineSpec()) if word.startswith("local,"))
    assert "path=/," in host
    assert "readonly=on" in host
    assert "readonly" not in share


def test_a_node_without_swap_has_no_disk() -> None:
    assert "-drive" not in argv(MachineSpec(swap_bytes=0), swap_disk=None)
    assert "file=/swap,format=raw" in value(argv(MachineSpec()), "-drive")


def test_a_person_gets_the_console_and_a_program_its_own_channel() -> None:
    assert value(argv(MachineSpec(), output_fd=None), "-serial") == "mon:stdio"
    assert "socket,id=output,fd=7" in argv(MachineSpec())


def test_kernel_arguments_follow_the_spec() -> None:
    assert "psi=1" in kernel_command_line(MachineSpec()).split()
    line = kernel_command_line(MachineSpec(psi=False, kernel_arguments=("zswap.enabled=1",))).split()
    assert "psi=0" in line
    assert line[-1] == "zswap.enabled=1"


def test_a_network_exists_only_where_it_is_requested() -> None:
    assert "-netdev" not in argv(MachineSpec())
    assert value(argv(MachineSpec(network=True)), "-netdev").startswith("user,")


def test_a_counted_clock_counts_instructions() -> None:
    counted, usual = argv(MachineSpec(counted_clock=True)), argv(MachineSpec())
    assert value(counted, "-accel") == "tcg,thread=single"
    assert value(counted, "-icount") == "shift=0,sleep=on"
    assert value(usual, "-accel") == "tcg,thread=multi"
    assert "-icount" not in usual
