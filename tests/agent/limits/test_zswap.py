import logging

import pytest

from overbook.agent.settings import AgentSettings, ZswapSettings, load
from overbook.core.errors import InvalidInput
from overbook_sandbox.fakes.kernel_files import build_tree
from tests.agent.fake_node import MI, FakeNode

QUARTER = ZswapSettings(max_percent=25, writeback=False)


def zswap(node: FakeNode, on: str = "Y") -> None:
    build_tree(node.root, {"sys/module/zswap/parameters/enabled": f"{on}\n"})


def start(node: FakeNode, name: str = "vm") -> str:
    path = node.start(name, memory_swap_max=None)
    node.file(path, "memory.zswap.max").write_text("max\n")
    node.file(path, "memory.zswap.writeback").write_text("1\n")
    return path


def limits(node: FakeNode, path: str) -> tuple[str, str]:
    names = ("memory.zswap.max", "memory.zswap.writeback")
    first, second = (node.file(path, name).read_text().strip() for name in names)
    return first, second


def test_a_share_of_the_allowance_may_stay_in_zswap(node: FakeNode) -> None:
    zswap(node)
    path = start(node)
    agent = node.agent(zswap=QUARTER, on_exit="Restore")
    node.tick(agent)
    assert limits(node, path) == (str(32 * MI), "0")  # a quarter of 128 MiB

    agent.stop()
    assert limits(node, path) == ("max", "1")


def test_without_a_setting_nothing_is_written(node: FakeNode) -> None:
    zswap(node)
    path = start(node)
    node.tick(node.agent())
    assert limits(node, path) == ("max", "1")


def test_in_observe_mode_nothing_of_zswap_is_written(node: FakeNode) -> None:
    zswap(node)
    path = start(node)
    node.tick(node.agent(zswap=QUARTER, mode="Observe"))
    assert limits(node, path) == ("max", "1")


def test_while_zswap_is_off_nothing_is_written(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    zswap(node, "N")
    path = start(node)
    agent = node.agent(zswap=QUARTER)
    with caplog.at_level(logging.WARNING):
        node.tick(agent)
        node.tick(agent)
    assert limits(node, path) == ("max", "1")
    assert [text for text in caplog.messages if "zswap is off" in text] == [
        "the limits of zswap are not written: zswap is off; boot with zswap.enabled=1"
    ]

    zswap(node)
    node.tick(agent)
    assert limits(node, path)[1] == "0"


def test_an_older_kernel_without_the_files_is_named_once(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    zswap(node)
    node.start("vm", memory_swap_max=None)
    agent = node.agent(zswap=QUARTER)
    with caplog.at_level(logging.WARNING):
        node.tick(agent)
        node.tick(agent)
    assert sum("memory.zswap.max is not written" in text for text in caplog.messages) == 1


@pytest.mark.parametrize(("percent", "writeback"), [(-1, True), (101, True), (0, False)])
def test_settings_that_cannot_work_are_refused(percent: int, writeback: bool) -> None:
    with pytest.raises(InvalidInput, match=r"zswap\.maxPercent"):
        AgentSettings(zswap=ZswapSettings(max_percent=percent, writeback=writeback)).check()


def test_the_flag_is_the_setting() -> None:
    assert load(None, {}, {"zswap_max": 25}).zswap == ZswapSettings(max_percent=25)
