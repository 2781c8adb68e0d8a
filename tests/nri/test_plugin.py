import select
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.nri import multiplex, ttrpc
from overbook.nri.connection import MOST_UPDATES, NriSocket
from overbook.nri.plugin import (
    EVENTS,
    FAILED_CREATIONS,
    MOST_REMEMBERED,
    PLUGIN_SERVICE,
    SWAP_KEY,
    ContainerKey,
    NriPlugin,
    PluginMemory,
)
from overbook.nri.protobuf import (
    WireError,
    entries,
    integer,
    message,
    put_bytes,
    put_entries,
    put_integer,
    put_text,
    text,
)
from overbook_sandbox.fakes.nri_runtime import RuntimeStandIn

KEY = ContainerKey("u-1", "compute")


def container(swap_max: str | None, name: str = "compute") -> bytes:
    unified = put_entries(6, {SWAP_KEY: swap_max}) if swap_max is not None else b""
    return put_text(1, "id-1") + put_text(3, name) + put_bytes(11, put_bytes(3, unified))


def about(swap_max: str | None, name: str = "compute") -> bytes:
    pod = put_text(1, "sandbox") + put_text(2, "vm-a") + put_text(3, "u-1") + put_text(4, "shop")
    return put_bytes(1, pod) + put_bytes(2, container(swap_max, name))


def call(plugin: NriPlugin, method: str, payload: bytes, service: str = PLUGIN_SERVICE) -> bytes:
    sent = multiplex.chunk(multiplex.PLUGIN, ttrpc.request(7, service, method, payload))
    (connection, part), *_ = multiplex.ChunkReader().feed(plugin.received(sent))
    (frame,) = ttrpc.FrameReader().feed(part)
    assert (connection, frame.stream, frame.kind) == (multiplex.PLUGIN, 7, ttrpc.RESPONSE)
    status, result = ttrpc.parse_response(frame.payload)
    assert status.code == (0 if service == PLUGIN_SERVICE else ttrpc.UNIMPLEMENTED)
    return result


def adjusted(result: bytes) -> str | None:
    return entries(message(message(message(result, 1), 6), 2), 6).get(SWAP_KEY)


def updated(result: bytes) -> tuple[str, str | None]:
    update = message(result, 1)
    return text(update, 1), entries(message(message(update, 2), 1), 6).get(SWAP_KEY)


def plugin_with(allowed: dict[ContainerKey, int]) -> NriPlugin:
    return NriPlugin(allowed.get)


@pytest.mark.parametrize("kubelets_choice", [None, "0"])
def test_a_new_container_gets_the_missing_allowance(kubelets_choice: str | None) -> None:
    plugin = plugin_with({KEY: 128 << 20})

    assert adjusted(call(plugin, "CreateContainer", about(kubelets_choice))) == str(128 << 20)


def test_an_unknown_container_is_left_unchanged() -> None:
    assert call(plugin_with({}), "CreateContainer", about("0")) == b""


def test_a_limit_of_limited_swap_or_another_plugin_is_kept() -> None:
    plugin = plugin_with({KEY: 128 << 20})

    assert call(plugin, "CreateContainer", about("4096")) == b""
    assert plugin.memory.left_alone == 1


def test_an_error_of_the_plugin_lets_a_container_start() -> None:
    def broken(_key: ContainerKey) -> int:
        raise RuntimeError("broken")

    assert call(NriPlugin(broken), "CreateContainer", about("0")) == b""


def test_a_kubelets_update_does_not_undo_a_limit() -> None:
    plugin = plugin_with({KEY: 64 << 20})
    kubelets = put_bytes(3, put_entries(6, {SWAP_KEY: "0"}))

    assert updated(call(plugin, "UpdateContainer", about("0") + kubelets)) == ("id-1", str(64 << 20))


def test_a_key_is_left_to_another_plugin_after_failed_creations() -> None:
    plugin = plugin_with({KEY: 4096})

    answers = [adjusted(call(plugin, "CreateContainer", about("0"))) for _ in range(FAILED_CREATIONS + 1)]

    assert answers == ["4096"] * FAILED_CREATIONS + [None]


def test_a_container_left_to_another_is_left_in_updates_too() -> None:
    plugin = plugin_with({KEY: 4096})
    call(plugin, "CreateContainer", about("8192"))
    kubelets = put_bytes(3, put_entries(6, {SWAP_KEY: "0"}))

    assert call(plugin, "UpdateContainer", about("0") + kubelets) == b""


def test_plugin_remembers_a_containers_original_limit() -> None:
    plugin = plugin_with({KEY: 4096})
    call(plugin, "CreateContainer", about("0"))

    assert plugin.memory.before == {"id-1": 0}


def test_gone_containers_are_forgotten_once_there_are_many() -> None:
    memory = PluginMemory()
    memory.before = {str(number): 0 for number in range(MOST_REMEMBERED)}
    assert memory.full

    memory.forget({"1"})

    newest = {str(number) for number in range(MOST_REMEMBERED * 7 // 8, MOST_REMEMBERED)}
    assert memory.before.keys() == {"1", *newest}


def test_the_runtime_gets_a_few_containers_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "nri" / "nri.sock")
    epoll = select.epoll()
    ours = NriSocket(path, lambda _key: None, epoll)

    def work() -> None:
        for _ in epoll.poll(0):
            ours.handle(0.0)

    with RuntimeStandIn(path, work) as runtime:
        ours.tick(0.0)
        runtime.accept()
        runtime.call("StateChange", b"")
        for number in range(MOST_UPDATES + 1):
            ours.update(f"id-{number}", 4096)
        ours.update("id-0", 8192)
        ours.tick(1.0)
        runtime.listen(lambda: len(runtime.updates) >= MOST_UPDATES)
        assert runtime.updates[0] == ("id-0", "8192")
        assert len(runtime.updates) == MOST_UPDATES
        ours.tick(2.0)
        runtime.listen(lambda: len(runtime.updates) > MOST_UPDATES)
        ours.close()
    epoll.close()


def test_a_creation_that_succeeded_counts_no_failure() -> None:
    plugin = plugin_with({KEY: 4096})

    for _ in range(FAILED_CREATIONS + 2):
        assert adjusted(call(plugin, "CreateContainer", about("0"))) == "4096"
        call(plugin, "PostCreateContainer", about("4096"))


def test_plugin_subscribes_to_the_events_it_handles_only() -> None:
    configured = call(plugin_with({}), "Configure", put_text(2, "containerd") + put_text(3, "2.1.0"))

    assert integer(configured, 2) == EVENTS == 0b1001_1000


def test_a_list_of_containers_in_parts_is_read_to_its_end() -> None:
    assert integer(call(plugin_with({}), "Synchronize", put_integer(3, 1)), 2) == 1


def test_an_unknown_method_is_refused_as_such() -> None:
    call(plugin_with({}), "Anything", b"", service="other.Service")


@given(st.lists(st.integers(1, 9), max_size=200))
def test_the_answer_is_the_same_however_the_bytes_arrive(sizes: list[int]) -> None:
    whole = multiplex.chunk(multiplex.PLUGIN, ttrpc.request(3, PLUGIN_SERVICE, "CreateContainer", about("0")))
    plugin = plugin_with({KEY: 8192})

    answer, rest = b"", whole
    for size in [*sizes, len(whole)]:
        answer += plugin.received(rest[:size])
        rest = rest[size:]

    assert answer == plugin_with({KEY: 8192}).received(whole) != b""


@given(st.binary(max_size=400))
def test_any_bytes_are_an_answer_or_the_end_of_the_connection(data: bytes) -> None:
    plugin = plugin_with({KEY: 8192})
    try:
        plugin.received(data)
        plugin.received(multiplex.chunk(multiplex.PLUGIN, ttrpc.frame(1, ttrpc.REQUEST, data)))
    except WireError:
        return


def test_plugin_reconnects_after_the_runtime_restarts(tmp_path: Path) -> None:
    path = str(tmp_path / "nri.sock")
    epoll = select.epoll()
    ours = NriSocket(path, lambda _key: None, epoll)
    ours.tick(0.0)
    assert ours.connections == 0  # no runtime yet, and no error

    for number, now in ((1, 10.0), (2, 20.0)):
        with socket.socket(socket.AF_UNIX) as runtime:
            runtime.bind(path)
            runtime.listen()
            ours.tick(now)
            accepted, _ = runtime.accept()
            (_, part), *_ = multiplex.ChunkReader().feed(accepted.recv(4096))
            (frame,) = ttrpc.FrameReader().feed(part)
            assert ttrpc.parse_request(frame.payload).method == "RegisterPlugin"
            accepted.close()
            ours.handle(now)
        Path(path).unlink()
        assert ours.connections == number
        assert ours.plugin is None
    ours.close()
