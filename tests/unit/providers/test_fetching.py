"""Fetching from addresses that users give: nothing inside is reached, whatever names, redirects and servers do."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from providers.fetching import FetchFailed, fetch, url_problem
from providers.reach import public_only
from providers.world import Timeouts, World
from tests.contract.certificates import Authority, make_authority
from wiring.bootstrap import SystemClock

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"), ("127.0.0.1", "localhost"))


def world(authority: Authority, may_reach: Callable[[str], bool], seconds: float = 2.0) -> World:
    return World(
        clock=SystemClock(),
        wall_time=lambda: datetime.now(UTC),
        timeouts=Timeouts(seconds, seconds, seconds),
        ca_file=authority.ca,
        may_reach=may_reach,
    )


@contextmanager
def serving(authority: Authority, *answers: bytes, hold: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """Gives one answer per connection, over TLS; yields the address and what was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                try:
                    sock, _ = listener.accept()
                    with authority.server_context().wrap_socket(sock, server_side=True) as secure:
                        asked.append(secure.recv(65536))
                        secure.sendall(answer)
                        if hold:
                            secure.recv(1)
                except (OSError, ssl.SSLError):
                    continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", asked


def refused(url: str, there: World, most: int = 1000) -> str:
    with pytest.raises(FetchFailed) as failed:
        fetch(url, there, most)
    return failed.value.code


def test_a_file_comes_with_the_name_and_type_that_its_server_gives(authority: Authority):
    head = OK + b"Content-Disposition: attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.txt\r\n"
    with serving(authority, head + b"Content-Length: 5\r\n\r\nhello") as (url, asked):
        found = fetch(f"{url}/a/b%20c.txt?x=1", world(authority, lambda _: True), 5)
    assert (found.content, found.filename, found.content_type) == (b"hello", "résumé.txt", "text/plain")
    assert asked[0].startswith(b"GET /a/b%20c.txt?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"cookie" not in asked[0].lower()


def test_without_a_name_it_is_the_addresss_last_part_and_chunks_are_one_file(authority: Authority):
    body = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    with serving(authority, body) as (url, _):
        found = fetch(f"{url}/a/b%20c.txt", world(authority, lambda _: True), 5)
    assert (found.content, found.filename) == (b"hello", "b c.txt")


INSIDE = [
    "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0", "localhost", "10.0.0.1", "172.16.0.1",
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "[::1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]", "[fe80::1]", "[fd00::1]", "[ff02::1]",
]  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_no_address_inside_is_connected_to(authority: Authority, host: str):
    # The tests' wall fails whoever connects beyond loopback; the listener notices who connects to it.
    assert refused(f"https://{host}:9/", world(authority, public_only)) in ("not_public", "unreachable")


def test_a_name_is_looked_up_once_and_all_its_addresses_must_be_public(authority: Authority):
    looked_at: list[str] = []

    def public_at_first(address: str) -> bool:  # a name that answers otherwise the second time gains nothing
        looked_at.append(address)
        return len(looked_at) == 1

    with serving(authority, OK + b"Content-Length: 1\r\n\r\nx") as (url, _):
        found = fetch(url, world(authority, public_at_first), 10)
    assert (found.content, looked_at) == (b"x", ["127.0.0.1"])
    if len({f[4][0] for f in socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)}) > 1:
        one_of_two = refused("https://localhost:1/", world(authority, lambda a: a == "127.0.0.1"))
        assert one_of_two == "not_public"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["https://127.0.0.1:1/metadata", "/there", "http://127.0.0.1/", "file:///etc/passwd", ""]
)
def test_no_redirect_is_followed(authority: Authority, status: int, location: str):
    moved = f"HTTP/1.1 {status} x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    with serving(authority, moved, OK) as (url, asked):
        assert refused(url, world(authority, lambda _: True)) == "redirect"
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (OK + b"Content-Length: 1001\r\n\r\n", "too_large"),
        (OK + b"\r\n" + b"x" * 1001, "too_large"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"3e9\r\n" + b"x" * 1001, "too_large"),
        (OK + b"Content-Length: 10\r\n\r\nx", "unreachable"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", "encoding"),
        (b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n", "status"),
        (b"nonsense\r\n\r\n", "unreachable"),
        (b"", "unreachable"),
    ],
)
def test_what_is_no_file_of_the_right_size_is_refused(authority: Authority, answer: bytes, code: str):
    with serving(authority, answer) as (url, _):
        assert refused(url, world(authority, lambda _: True)) == code


def test_a_server_that_drips_is_left(authority: Authority):
    with serving(authority, OK + b"Content-Length: 10\r\n\r\nx", hold=True) as (url, _):
        assert refused(url, world(authority, lambda _: True, 0.3)) == "timeout"


def test_a_server_that_nobody_vouches_for_is_not_believed(authority: Authority, tmp_path: Path):
    other = make_authority(tmp_path)
    with serving(authority, OK) as (url, asked):
        assert refused(url, world(other, lambda _: True)) == "unreachable"
    assert asked == []


@pytest.mark.parametrize(
    "url",
    ["http://x.example/", "https://", "https:///a", "https://u@x.example/", "https://x.example/\r\nX: y",
     "https://x.example/ü", "https://x.example\\@y.example/", "https://x.example:0/", "https://x.example:99999/",
     "https://[::1/", "https://x.example/" + "a" * 2000, "//x.example/", "ftp://x.example/"],
)  # fmt: skip
def test_what_is_no_https_address_is_not_looked_up(url: str, authority: Authority):
    assert url_problem(url) is not None

    def never(_: Any) -> bool:
        raise AssertionError("it was looked up")

    assert refused(url, world(authority, never)) == "url"
