"""Hosts that are far away or slow, and the fake in a process of its own."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.fake_hub.contents import FILES, WEIGHTS
from tests.support.fake_hub import FakeHub, FakeRepo
from tests.support.fake_server import ROOT, FakeServer, fake_server

BIG = bytes(range(256)) * 8192
STARTER = """
import pathlib, sys, time
from tests.support.fake_server import fake_server
with fake_server(pathlib.Path(sys.argv[1]), "--delay-ms", "1") as running:
    print(running.hub_url, flush=True)
    time.sleep(600)
"""
RESOLVE = "/acme/toy/resolve/main/model.safetensors"


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_a_round_trip_for_each_request_and_one_to_connect(
    fake_hub: FakeHub, client: httpx.Client
) -> None:
    fake_hub.settings.round_trip_s = 0.1
    assert 0.2 <= seconds(lambda: client.get("/api/models")) < 0.3
    assert 0.1 <= seconds(lambda: client.get("/api/models")) < 0.2


def test_a_rate_for_each_connection(fake_hub: FakeHub, client: httpx.Client) -> None:
    fake_hub.add(FakeRepo("acme/big", {"big.bin": BIG}))
    fake_hub.settings.rate_bytes_per_s = 4e6
    url = client.head("/acme/big/resolve/main/big.bin").headers["location"]
    whole_s = seconds(lambda: client.get(url))
    assert 0.5 <= whole_s < 0.8
    half = len(BIG) // 2

    def part(start: int) -> bytes:
        return client.get(url, headers={"Range": f"bytes={start}-{start + half - 1}"}).content

    with ThreadPoolExecutor(2) as pool:
        found: list[bytes] = []
        both_s = seconds(lambda: found.extend(pool.map(part, (0, half))))
    assert b"".join(found) == BIG
    assert both_s < whole_s * 0.75


def test_closing_does_not_wait_for_a_slow_answer(client: httpx.Client) -> None:
    with FakeHub() as fake:
        fake.settings.round_trip_s = 60.0
        client.timeout = httpx.Timeout(5, read=0.1)
        with pytest.raises(httpx.ReadTimeout):
            client.get(f"{fake.hub_url}/api/models")
        began = time.monotonic()
    assert time.monotonic() - began < 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a fake in another process serves."""
    for name, content in FILES.items():
        path = tmp_path / "acme" / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "acme" / "toy" / "big.bin").write_bytes(BIG)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[FakeServer]:
    with fake_server(folder) as running:
        yield running


@pytest.fixture
def far(folder: Path) -> Iterator[FakeServer]:
    """Behind a relay, 50 ms away."""
    with fake_server(folder, "--delay-ms", "50", "--window-kib", "256") as running:
        yield running


def test_a_process_of_its_own(server: FakeServer, client: httpx.Client) -> None:
    answer = client.get(server.hub_url + RESOLVE)
    assert answer.headers["location"].startswith(server.cdn_url)
    assert client.get(answer.headers["location"]).content == WEIGHTS
    sent = server.sent_bytes()
    assert sent["cdn"] == len(WEIGHTS)
    assert sent["hub"] == len(answer.content)
    assert set(server.sent_bytes().values()) == {0}


def test_it_ends_with_who_started_it(folder: Path) -> None:
    """Even when that one is killed; the relay as well."""
    command = [sys.executable, "-c", STARTER, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        place = httpx.URL(starter.stdout.readline().strip())
        socket.create_connection((place.host, place.port), timeout=5).close()
        starter.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection((place.host, place.port), timeout=5).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    pytest.fail("the relay is still there")


def test_a_long_way(far: FakeServer, client: httpx.Client) -> None:
    """Two round trips for the first request of a connection, one for the next."""
    url = f"{far.hub_url}/api/models/acme/toy"
    assert 0.2 <= seconds(lambda: client.get(url)) < 0.35
    assert 0.1 <= seconds(lambda: client.get(url)) < 0.2
    link = client.get(far.hub_url + RESOLVE).headers["location"]
    assert link.startswith(far.cdn_url)
    assert client.get(link).content == WEIGHTS


def test_a_long_way_limits_what_is_on_it(far: FakeServer, client: httpx.Client) -> None:
    """2 MiB in windows of 256 KiB take 8 round trips at least, after those of the slow start."""
    link = client.get(f"{far.hub_url}/acme/toy/resolve/main/big.bin").headers["location"]
    client.head(link)
    began = time.monotonic()
    assert client.get(link).content == BIG
    assert 0.8 <= time.monotonic() - began < 1.8


def test_ends_of_connections_pass_through(far: FakeServer) -> None:
    """An end from the other side, in order, after all that was sent."""
    place = httpx.URL(far.hub_url)
    with socket.create_connection((place.host, place.port), timeout=5) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"nonsense")
