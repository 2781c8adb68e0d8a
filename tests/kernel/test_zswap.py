import pathlib

import pytest

from overbook.kernel.files import KernelFileError
from overbook.kernel.zswap import Zswap, read_zswap
from overbook_sandbox.fakes.kernel_files import build_tree

FOLDER = "sys/module/zswap/parameters"


def test_all_settings_of_zswap_are_read(tmp_path: pathlib.Path) -> None:
    build_tree(
        tmp_path,
        {
            FOLDER: {
                "enabled": "Y\n",
                "compressor": "lz4\n",
                "max_pool_percent": "20\n",
                "shrinker_enabled": "N\n",
            }
        },
    )
    assert read_zswap(tmp_path) == Zswap(enabled=True, compressor="lz4", max_pool_percent=20, shrinker=False)


def test_an_older_kernel_has_no_shrinker(tmp_path: pathlib.Path) -> None:
    build_tree(tmp_path, {FOLDER: {"enabled": "N\n"}})
    assert read_zswap(tmp_path) == Zswap(enabled=False)


def test_a_kernel_without_zswap_has_none(tmp_path: pathlib.Path) -> None:
    assert read_zswap(tmp_path) is None


@pytest.mark.parametrize(("name", "text"), [("enabled", "maybe\n"), ("max_pool_percent", "much\n")])
def test_a_parameter_of_another_form_is_an_error(tmp_path: pathlib.Path, name: str, text: str) -> None:
    build_tree(tmp_path, {FOLDER: {"enabled": "Y\n", name: text}})
    with pytest.raises(KernelFileError, match=name):
        read_zswap(tmp_path)
