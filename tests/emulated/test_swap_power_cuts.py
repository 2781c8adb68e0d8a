import pathlib

from overbook.node.swap import FOLDER, SwapSettings, program_file, settings_file
from overbook_sandbox.machine.job import OUTPUT
from tests.emulated.systemd_node import CUT, SystemdNode

MIB = 1 << 20
SMALL, LARGE = 8 * MIB, 72 * MIB
"""The large one is written in two parts."""
CUTS = ("dd", "mkswap", "mv -T", "swapon", "swapoff")
"""After each of them the power goes."""

WRAPPER = f"""#!/bin/sh
name=${{0##*/}}
PATH=${{PATH#*:}}
"$name" "$@"
status=$?
case "$name $*" in "$CUT_AFTER"*) echo {CUT} >{OUTPUT}; sleep 100 ;; esac
exit $status
"""


def test_swap_is_on_after_a_power_cut_at_any_step(tmp_path: pathlib.Path) -> None:
    node = SystemdNode(tmp_path)
    share = node.share
    (share / "overbook-swap").write_bytes(program_file())
    (share / "bin").mkdir()
    for name in {cut.split()[0] for cut in CUTS}:
        wrapper = share / "bin" / name
        wrapper.write_text(WRAPPER)
        wrapper.chmod(0o755)
    for size in (SMALL, LARGE):
        settings = SwapSettings(size_bytes=size, disk_floor_percent=1, disk_floor_bytes=MIB)
        (share / f"{size}.conf").write_text(settings_file(settings))

    def program(command: str, size: int) -> str:
        return f"OVERBOOK_CONF={share}/{size}.conf /bin/sh {share}/overbook-swap {command} 2>&1"

    def whole(size: int) -> str:
        return f"{program('apply', size)}; awk 'NR > 1 {{ print $3 * 1024 }}' /proc/swaps; ls -A {FOLDER}"

    def cut(after: str, size: int) -> str:
        return f"export CUT_AFTER='{after}'; PATH={share}/bin:$PATH {program('apply', size)}"

    size, other = SMALL, LARGE
    said = node.boot(f"{whole(size)}; {cut(CUTS[0], other)}", systemd=False)
    for number, after in enumerate(CUTS, 1):
        assert said[-1] == CUT, said
        following = cut(CUTS[number], size) if number < len(CUTS) else "true"
        said = node.boot(
            f"{program('on', size)}; echo on $?; {whole(other)}; echo whole $?; {following}", systemd=False
        )
        assert "on 0" in said, (after, said)
        assert said[said.index("whole 0") - 2 :][:2] == [str(other), f"swapfile-{other + 4096}"], (
            after,
            said,
        )
        size, other = other, size
