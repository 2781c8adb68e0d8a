import pathlib
import shlex

from overbook.node.drop_in import Setting, drop_in_command, unit_settings
from overbook_sandbox.fakes.kernel_files import build_tree


def test_the_last_drop_in_by_name_wins_whatever_its_folder(tmp_path: pathlib.Path) -> None:
    build_tree(
        tmp_path,
        {
            "usr/lib/systemd/system/-.slice.d/50-late.conf": "[Slice]\nManagedOOMSwap=auto\n",
            "etc/systemd/system/-.slice.d/10-early.conf": "[Slice]\nManagedOOMSwap=kill\nTasksMax=1\n",
        },
    )
    path = "/usr/lib/systemd/system/-.slice.d/50-late.conf"
    assert unit_settings("-.slice", str(tmp_path))["ManagedOOMSwap"] == Setting("auto", path)


def test_a_file_in_etc_hides_one_of_the_same_name(tmp_path: pathlib.Path) -> None:
    build_tree(
        tmp_path,
        {
            "usr/lib/systemd/system/a.slice.d/10.conf": "[Slice]\nMemorySwapMax=0\n",
            "etc/systemd/system/a.slice.d/10.conf": "# nothing\n",
        },
    )
    assert unit_settings("a.slice", str(tmp_path)) == {}


def test_drop_ins_for_several_units_apply(tmp_path: pathlib.Path) -> None:
    build_tree(
        tmp_path,
        {
            "etc/systemd/system/kubepods-.slice.d/10.conf": "[Slice]\nMemorySwapMax=0\n",
            "etc/systemd/system/slice.d/20.conf": "[Slice]\nMemoryHigh=1G\n",
        },
    )
    assert unit_settings("kubepods-burstable.slice", str(tmp_path)).keys() == {"MemorySwapMax", "MemoryHigh"}
    assert unit_settings("kubepods.slice", str(tmp_path)).keys() == {"MemoryHigh"}


def test_the_command_writes_a_file_that_is_read_last() -> None:
    command = drop_in_command(
        "-.slice", ("ManagedOOMSwap=auto",), "/usr/lib/systemd/system/-.slice.d/10-x.conf"
    )
    assert "'[Slice]\\nManagedOOMSwap=auto\\n' > /etc/systemd/system/-.slice.d/zz-overbook.conf" in command
    assert shlex.split(command)[-2:] == ["systemctl", "daemon-reload"]

    later = drop_in_command("-.slice", ("ManagedOOMSwap=auto",), "/etc/systemd/system/-.slice.d/zzz.conf")
    assert "/zzzz.conf" in later
