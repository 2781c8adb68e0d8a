"""The swap program computes, and reads the kubelet's configuration, as core does."""

import pathlib
import random
import subprocess
from collections.abc import Mapping, Sequence

import msgspec
import pytest
import yaml

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.kubelet import kubelet_configuration
from overbook.core.overcommit.swap import node_swap_bytes
from overbook.node.swap import SwapSettings, program_file, settings_file

PAGE = 4096


def status(folder: pathlib.Path, settings: SwapSettings, memory_bytes: int = 1 << 30) -> dict[str, str]:
    """Return what the program prints about a node with so much RAM."""
    (folder / "program").write_bytes(program_file())
    (folder / "conf").write_text(settings_file(settings))
    (folder / "meminfo").write_text(f"MemTotal:  {memory_bytes // 1024} kB\nMemFree: 1 kB\n")
    (folder / "swaps").write_text("Filename\tType\tSize\tUsed\tPriority\n")
    done = subprocess.run(
        ["sh", folder / "program", "status"],
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "OVERBOOK_CONF": f"{folder}/conf",
            "OVERBOOK_PROC": str(folder),
        },
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_the_size_is_the_formulas_for_any_ram_and_percentage(tmp_path: pathlib.Path) -> None:
    chance = random.Random(5)
    for _ in range(25):
        ram = chance.randrange(1 << 18, 1 << chance.randrange(20, 35)) * 1024
        percent = chance.choice((101, chance.randint(10, 300), chance.randint(100, 1000)))
        demanded = node_swap_bytes(ram, percent)

        wanted = int(status(tmp_path, SwapSettings(percent=percent), ram)["wantedBytes"])

        # In whole pages, and one for the header of mkswap.
        assert wanted == (-(-demanded // PAGE) * PAGE + PAGE if demanded else 0), (ram, percent)


KUBELETS: Mapping[str, tuple[Mapping[str, str], bool | None]] = {
    "nothing is said": ({"config": "kind: KubeletConfiguration\n"}, None),
    "tolerates": ({"config": "kind: KubeletConfiguration\nfailSwapOn: false\n"}, None),
    "refuses": ({"config": "failSwapOn: true\nkind: KubeletConfiguration\n"}, None),
    "a remark behind it": ({"config": "failSwapOn: false # for swap\n"}, None),
    "in a remark only": ({"config": "kind: KubeletConfiguration\n# failSwapOn: false\n"}, None),
    "in a remark behind another": ({"config": "cgroupDriver: systemd # later, failSwapOn: false\n"}, None),
    "below something else": ({"config": "memorySwap:\n  failSwapOn: false\n"}, None),
    "another word": ({"config": "failSwapOn: False\n"}, None),
    "a text": ({"config": 'failSwapOn: "false"\n'}, None),
    "quoted key": ({"config": '"failSwapOn": false\n'}, None),
    "a document's beginning": ({"config": "---\nfailSwapOn: false\n"}, None),
    "JSON": ({"config": '{"kind": "KubeletConfiguration", "failSwapOn": false}'}, None),
    "JSON of many lines": (
        {"config": '{\n  "memorySwap": {"swapBehavior": "NoSwap"},\n  "failSwapOn" : false\n}\n'},
        None,
    ),
    "JSON that refuses": ({"config": '{"failSwapOn": true, "maxPods": 250}'}, None),
    "a drop-in allows": ({"config": "failSwapOn: true\n", "d/90.conf": "failSwapOn: false\n"}, None),
    "a drop-in forbids": ({"config": "failSwapOn: false\n", "d/90.conf": '{"failSwapOn": true}'}, None),
    "the last drop-in counts": (
        {"config": "a: 1\n", "d/10.conf": "failSwapOn: true\n", "d/20.conf": "failSwapOn: false\n"},
        None,
    ),
    "a drop-in's name": ({"config": "a: 1\n", "d/10.yaml": "failSwapOn: false\n"}, None),
    "a drop-in takes it back": ({"config": "failSwapOn: false\n", "d/1.conf": "failSwapOn: null\n"}, None),
    "the flag allows": ({"config": "failSwapOn: true\n"}, False),
    "the flag forbids": ({"config": "failSwapOn: false\n"}, True),
    "the flag alone": ({}, False),
}


@pytest.mark.parametrize("name", KUBELETS)
def test_the_kubelets_answer_is_read_like_its_own_reader(tmp_path: pathlib.Path, name: str) -> None:
    files, flag = KUBELETS[name]
    for path, text in files.items():
        (tmp_path / "kubelet" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kubelet" / path).write_text(text)
    places = tuple(f"{tmp_path}/kubelet/{place}" for place in ("config", "d")) if files else ()
    settings = SwapSettings(kubelet_configs=places, kubelet_fail_swap_on=flag)

    answer = status(tmp_path, settings)["kubelet"]

    read = [text for path, text in sorted(files.items()) if path == "config" or path.endswith(".conf")]
    assert answer == ("tolerates" if tolerates(read, flag) else "refuses")


def tolerates(documents: Sequence[str], flag: bool | None) -> bool:
    flags = {} if flag is None else {"fail-swap-on": str(flag).lower()}
    try:
        return not kubelet_configuration([yaml.safe_load(text) for text in documents], flags).fail_swap_on
    except InvalidInput:  # a kubelet would not start with it
        return False


def test_no_kubelet_is_queried_where_there_is_none(tmp_path: pathlib.Path) -> None:
    assert status(tmp_path, SwapSettings())["kubelet"] == "unasked"


@pytest.mark.parametrize(
    "wrong",
    [
        {"folder": "/var/tmp/swap"},  # noqa: S108 - refused
        {"folder": "swap"},
        {"folder": "/var/lib/my swap"},
        {"kind": "device"},
        {"kind": "device", "device": "sda"},
        {"kind": "device", "device": "LABEL=swap", "encrypt": True},
        {"kind": "zram", "encrypt": True},
    ],
)
def test_impossible_settings_are_refused_before_any_write(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        settings_file(msgspec.structs.replace(SwapSettings(), **wrong))
