import select
import socket
from collections.abc import Iterator

import pytest

from overbook.core.errors import InvalidInput
from overbook.probes.server import MOST_CONNECTIONS, MOST_OF_A_PEER, MOST_SECONDS, ProbeServer, split_address


class Served:
    """A server whose epoll the test drives."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.now = 0.0
        self.big = b"x" * (4 << 20)
        self.server = ProbeServer(
            "127.0.0.1:0",
            {
                "/hello": lambda: (200, "text/plain", b"hello\n"),
                "/sick": lambda: (503, "text/plain", b"sick\n"),
                "/big": lambda: (200, "text/plain", self.big),
            },
            self.epoll,
            "listen address",
            "host:port",
        )

    def client(self, address: str = "127.0.0.1") -> socket.socket:
        client = socket.create_connection(
            ("127.0.0.1", self.server.port), timeout=5, source_address=(address, 0)
        )
        self.work()
        return client

    def work(self) -> None:
        """Handle all descriptors that are ready."""
        while ready := self.epoll.poll(0.02):
            for fd, _ in ready:
                if self.server.owns(fd):
                    self.server.handle(fd, self.now)

    def ask(self, request: bytes) -> tuple[str, dict[str, str], bytes]:
        """Send a request; return status line, headers and body."""
        with self.client() as client:
            client.sendall(request)
            self.work()
            return answer(client)


def answer(client: socket.socket) -> tuple[str, dict[str, str], bytes]:
    data = b""
    while part := client.recv(1 << 16):
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, dict(line.split(": ") for line in lines), body


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.server.close()
    made.epoll.close()


def test_known_paths_are_answered_and_the_query_is_ignored(served: Served) -> None:
    for path in (b"/hello", b"/hello?x=1"):
        status, headers, body = served.ask(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, body) == ("HTTP/1.1 200 OK", b"hello\n")
        assert headers["Content-Length"] == "6"
        assert headers["Connection"] == "close"
    assert served.ask(b"GET /sick HTTP/1.0\r\n\r\n")[0] == "HTTP/1.1 503 Service Unavailable"


def test_head_says_the_length_and_sends_nothing(served: Served) -> None:
    status, headers, body = served.ask(b"HEAD /hello HTTP/1.1\r\n\r\n")
    assert (status, headers["Content-Length"], body) == ("HTTP/1.1 200 OK", "6", b"")


def test_unknown_paths_are_told_the_known_ones(served: Served) -> None:
    for path in (b"/", b"/hello/", b"/%00", b"/\xff\xfe", b"/../etc/passwd"):
        status, _, body = served.ask(b"GET " + path + b" HTTP/1.1\r\n\r\n")
        assert status == "HTTP/1.1 404 Not Found"
        assert b"/hello /sick" in body


@pytest.mark.parametrize("method", [b"POST", b"DELETE", b"OPTIONS", b"get"])
def test_only_get_is_answered(served: Served, method: bytes) -> None:
    assert served.ask(method + b" /hello HTTP/1.1\r\n\r\n")[0] == "HTTP/1.1 405 Method Not Allowed"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\n\n",
        b"GET /hello FTP/1.0\r\n\r\n",
        b"\x00" * 50 + b"\n\n",
    ],
)
def test_garbage_is_refused(served: Served, garbage: bytes) -> None:
    assert served.ask(garbage)[0] == "HTTP/1.1 400 Bad Request"


def test_a_request_that_is_too_large_is_refused(served: Served) -> None:
    with served.client() as client:
        for _ in range(3):
            client.sendall(b"GET /hello HTTP/1.1\r\nX: " + b"x" * 4096)
            served.work()
        assert answer(client)[0] == "HTTP/1.1 400 Bad Request"


def test_a_request_may_come_byte_by_byte(served: Served) -> None:
    with served.client() as client:
        for byte in b"GET /hello HTTP/1.1\r\n\r\n":
            client.sendall(bytes([byte]))
            served.work()
        assert answer(client)[2] == b"hello\n"


def test_a_reader_that_is_slow_gets_all_of_a_long_answer(served: Served) -> None:
    with served.client() as client:
        client.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        served.work()
        got = b""
        while len(got) < len(served.big):
            served.work()
            part = client.recv(1 << 20)
            assert part
            got += part
        assert got.endswith(b"x" * 100)


def test_silent_client_is_dropped_after_a_while_not_before(served: Served) -> None:
    with served.client() as silent, served.client() as slow:
        slow.sendall(b"GET /hel")
        served.now = MOST_SECONDS - 0.1
        served.work()
        served.server.expire(served.now)
        slow.sendall(b"lo HTTP/1.1\r\n\r\n")
        served.work()
        assert answer(slow)[2] == b"hello\n"
        served.server.expire(MOST_SECONDS + 0.1)
        assert silent.recv(1) == b""


def test_a_new_connection_takes_the_place_of_the_longest_idle(served: Served) -> None:
    clients = [served.client(f"127.0.0.{2 + n % 16}") for n in range(MOST_CONNECTIONS)]
    assert served.ask(b"GET /hello HTTP/1.1\r\n\r\n")[2] == b"hello\n"
    assert clients[0].recv(1) == b""
    for client in clients:
        client.close()
    served.work()
    assert not served.server.connections


def test_one_address_takes_only_its_own_places(served: Served) -> None:
    others = [served.client("127.0.0.9") for _ in range(MOST_OF_A_PEER - 1)]
    crowd = [served.client() for _ in range(MOST_CONNECTIONS)]
    assert served.server.connections == 2 * MOST_OF_A_PEER - 1
    assert crowd[0].recv(1) == b""
    others[0].sendall(b"GET /hello HTTP/1.1\r\n\r\n")
    served.work()
    assert answer(others[0])[2] == b"hello\n"
    for client in [*others, *crowd]:
        client.close()


def test_half_an_answer_is_not_kept_for_one_that_does_not_read(served: Served) -> None:
    for half_closed in (False, True):
        with served.client() as slow:
            slow.sendall(b"GET /big HTTP/1.1\r\n\r\n")
            if half_closed:
                slow.shutdown(socket.SHUT_WR)
            served.work()
            assert served.server.connections == 1
            served.now += MOST_SECONDS + 0.1
            served.server.expire(served.now)
            assert served.server.connections == 0
            with pytest.raises(ConnectionResetError):
                answer(slow)


def test_half_closed_clients_get_all_of_a_long_answer(served: Served) -> None:
    with served.client() as client:
        client.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        got = b""
        while not got.endswith(b"x" * 100) or len(got) < len(served.big):
            served.work()
            got += client.recv(1 << 20)
        served.work()
        served.server.expire(served.now)
        assert client.recv(1) == b""
    assert not served.server.connections


def test_client_that_leaves_in_the_middle_is_forgotten(served: Served) -> None:
    for sent in (b"", b"GET /he", b"GET /big HTTP/1.1\r\n\r\n"):
        with served.client() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # reset, not end
            client.sendall(sent)
            served.work()
        served.work()
    assert not served.server.connections


SETTING = ("listen address", "host:port, such as 127.0.0.1:9713")


@pytest.mark.parametrize(
    "address", ["", "9713", "host:", "host:http", "host:70000", "host:-1", "h:²", "h:１"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="host:port"):
        split_address(address, *SETTING)


def test_addresses_of_both_kinds_are_taken_apart() -> None:
    assert split_address("127.0.0.1:9713", *SETTING) == ("127.0.0.1", 9713)
    assert split_address("[::1]:80", *SETTING) == ("::1", 80)
    assert split_address(":0", *SETTING) == ("", 0)
