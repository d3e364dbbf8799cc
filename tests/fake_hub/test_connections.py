"""Connections that end, stall, drip and are refused, as a client and as a bare socket see them."""

import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.fake_hub.contents import WEIGHTS
from tests.support.fake_hub import (
    Chunked,
    Cut,
    Drip,
    FakeHub,
    FakeRepo,
    Fault,
    Longer,
    NoAnswer,
    Stall,
    Without,
)

Link = Callable[[], str]


def received(client: httpx.Client, url: str) -> tuple[int, Exception | None]:
    """How many bytes of a body came, and what ended it."""
    count = 0
    try:
        with client.stream("GET", url) as answer:
            for piece in answer.iter_raw():
                count += len(piece)
    except httpx.TransportError as error:
        return count, error
    return count, None


@pytest.mark.parametrize("at", [0, 1, 4096, 10239])
@pytest.mark.parametrize(
    ("reset", "kind"), [(False, httpx.RemoteProtocolError), (True, httpx.ReadError)]
)
def test_a_cut_after_so_many_bytes(
    fake_hub: FakeHub, client: httpx.Client, link: Link, at: int, reset: bool, kind: type[Exception]
) -> None:
    fake_hub.chaos.add(Cut(at, reset=reset), host="cdn")
    count, error = received(client, link())
    assert count == at
    assert type(error) is kind
    cut = fake_hub.log.of("cdn")[-1]
    assert (cut.status, cut.sent_bytes, cut.is_complete) == (200, at, False)
    assert received(client, link()) == (len(WEIGHTS), None)


def test_a_cut_in_a_large_body(fake_hub: FakeHub, client: httpx.Client) -> None:
    content = bytes(5_000_000)
    fake_hub.add(FakeRepo("acme/big", {"big.bin": content}))
    for reset in (False, True):
        url = client.head("/acme/big/resolve/main/big.bin").headers["location"]
        fake_hub.chaos.add(Cut(3_333_333, reset=reset), host="cdn")
        assert received(client, url)[0] == 3_333_333


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(NoAnswer(), httpx.ReadError), (NoAnswer(reset=False), httpx.RemoteProtocolError)],
)
def test_no_answer_at_all(
    fake_hub: FakeHub, client: httpx.Client, link: Link, fault: Fault, kind: type[Exception]
) -> None:
    url = link()
    fake_hub.chaos.add(fault, host="cdn")
    with pytest.raises(kind):
        client.get(url)
    assert fake_hub.log.of("cdn")[-1].status == 0
    assert client.get(url).content == WEIGHTS


@pytest.mark.parametrize("at", [None, 0, 5000, 10240])
def test_a_stall_ends_in_a_time_out(
    fake_hub: FakeHub, client: httpx.Client, link: Link, at: int | None
) -> None:
    url = link()
    fake_hub.chaos.add(Stall(60, at), Chunked(), host="cdn")
    client.timeout = httpx.Timeout(5, read=0.4)
    count, error = received(client, url)
    assert type(error) is httpx.ReadTimeout
    assert count == (at or 0)


def test_after_a_stall_the_rest_comes(fake_hub: FakeHub, client: httpx.Client, link: Link) -> None:
    fake_hub.chaos.add(Stall(0.2, 5000), host="cdn")
    began = time.monotonic()
    assert client.get(link()).content == WEIGHTS
    assert time.monotonic() - began >= 0.2


def test_closing_does_not_wait_for_a_stall(client: httpx.Client) -> None:
    with FakeHub() as fake:
        fake.chaos.add(Stall(60, None))
        client.timeout = httpx.Timeout(5, read=0.1)
        with pytest.raises(httpx.ReadTimeout):
            client.get(f"{fake.hub_url}/api/models")
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_no_time_limit_for_a_read_sees_a_drip(
    fake_hub: FakeHub, client: httpx.Client, link: Link
) -> None:
    fake_hub.chaos.add(Drip(1280, 0.1), host="cdn")
    client.timeout = httpx.Timeout(0.5)
    began = time.monotonic()
    assert client.get(link()).content == WEIGHTS
    assert time.monotonic() - began >= 0.7


def test_refused(fake_hub: FakeHub, client: httpx.Client, link: Link) -> None:
    url = link()
    assert client.get(url).status_code == 200
    with fake_hub.chaos.refused("cdn"):
        with pytest.raises(httpx.ConnectError):
            client.get(url)
        assert client.get("/api/models").status_code == 200
    assert client.get(url).status_code == 200


@pytest.mark.usefixtures("toy")
def test_more_than_was_announced(fake_hub: FakeHub, link: Link) -> None:
    fake_hub.chaos.add(Longer(b"surplus"), host="cdn")
    raw = exchange(link())
    assert raw.endswith(b"\r\n\r\n" + WEIGHTS + b"surplus")
    assert b"Content-Length: 10240\r\n" in raw


@pytest.mark.parametrize(
    ("fault", "body", "header"),
    [
        (Without("Content-Length"), WEIGHTS, b"Connection: close\r\n"),
        (Chunked(), b"2800\r\n" + WEIGHTS + b"\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\n"),
    ],
)
def test_bodies_of_no_known_length(
    fake_hub: FakeHub, client: httpx.Client, link: Link, fault: Fault, body: bytes, header: bytes
) -> None:
    fake_hub.chaos.add(fault, host="cdn", times=2)
    head, _, rest = exchange(link()).partition(b"\r\n\r\n")
    assert rest == body
    assert header in head + b"\r\n"
    assert b"Content-Length" not in head
    assert client.get(link()).content == WEIGHTS


def exchange(url: str, *, method: str = "GET") -> bytes:
    """Everything that comes on a connection for one request, until the other side ends it."""
    place = httpx.URL(url)
    with socket.create_connection((place.host, place.port), timeout=5) as connection:
        target = place.raw_path.decode()
        head = f"{method} {target} HTTP/1.1\r\nHost: {place.host}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def connection(fake_hub: FakeHub) -> Iterator[socket.socket]:
    place = httpx.URL(fake_hub.hub_url)
    with socket.create_connection((place.host, place.port), timeout=5) as made:
        yield made


def test_a_connection_serves_many_requests(fake_hub: FakeHub, client: httpx.Client) -> None:
    for _ in range(20):
        client.get("/api/models")
    assert {entry.connection for entry in fake_hub.log.of("hub")} == {1}


def test_requests_in_small_pieces_and_two_at_once(connection: socket.socket) -> None:
    request = b"GET /api/models HTTP/1.1\r\nHost: here\r\n\r\n"
    for byte in request:
        connection.sendall(bytes([byte]))
    connection.sendall(request + request.replace(b"here\r\n", b"here\r\nConnection: close\r\n"))
    answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 3


def test_a_body_in_chunks(connection: socket.socket, fake_hub: FakeHub) -> None:
    connection.sendall(
        b"POST /api/models/a/b/paths-info/main HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n"
    )
    assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
    assert [entry.method for entry in fake_hub.log.entries] == ["POST"]


@pytest.mark.parametrize(
    "request_line", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"]
)
def test_what_is_not_http(connection: socket.socket, request_line: bytes) -> None:
    connection.sendall(request_line)
    assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_a_head_has_the_headers_of_a_get(link: Link) -> None:
    url = link()
    get, head = (exchange(url, method=method).partition(b"\r\n\r\n") for method in ("GET", "HEAD"))
    assert get[0] == head[0]
    assert head[2] == b""
