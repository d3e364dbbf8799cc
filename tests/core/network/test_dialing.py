"""Which of a host's addresses is connected to, and how long that may take."""

import errno
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from modelcellar.network.dialing import STAGGER_S, dial

LOOPBACK = "127.0.0.1"


@contextmanager
def listener(family: socket.AddressFamily = socket.AF_INET) -> Iterator[tuple[Any, ...]]:
    """The address of a port that takes connections."""
    with closing(socket.socket(family)) as server:
        server.bind(("::1" if family == socket.AF_INET6 else LOOPBACK, 0))
        server.listen()
        yield server.getsockname()


@contextmanager
def silence() -> Iterator[tuple[Any, ...]]:
    """The address of a port that never answers: its queue is full, so that the kernel is silent."""
    with closing(socket.socket()) as server:
        server.bind((LOOPBACK, 0))
        server.listen(0)
        crowd = [socket.socket() for _ in range(8)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        time.sleep(0.1)
        try:
            yield server.getsockname()
        finally:
            for one in crowd:
                one.close()


def resolver(*places: tuple[Any, ...]) -> Any:
    def resolve(host: str, port: int, *_: object) -> list[Any]:
        del host, port
        return [
            (
                socket.AF_INET6 if ":" in place[0] else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                place,
            )
            for place in places
        ]

    return resolve


def refusing() -> tuple[str, int]:
    with closing(socket.socket()) as one:
        one.bind((LOOPBACK, 0))
        return one.getsockname()  # type: ignore[no-any-return]


def test_the_only_address() -> None:
    with listener() as place, closing(dial(place, 5.0)) as handle:  # type: ignore[arg-type]
        assert handle.getpeername() == place
        assert handle.gettimeout() == 5.0


def test_one_that_says_nothing_holds_up_nobody() -> None:
    began = time.monotonic()
    with silence() as dead, listener() as place:
        found = dial(("host", 1), 20.0, resolve=resolver(dead, place))
        with closing(found) as handle:
            assert handle.getpeername() == place
    assert STAGGER_S <= time.monotonic() - began < 5


def test_one_that_refuses_is_passed_over_at_once() -> None:
    began = time.monotonic()
    with listener() as place:
        found = dial(("host", 1), 20.0, resolve=resolver(refusing(), refusing(), place))
        with closing(found) as handle:
            assert handle.getpeername() == place
    assert time.monotonic() - began < 5


def test_the_families_are_tried_by_turns() -> None:
    with silence() as dead, listener(socket.AF_INET6) as place:
        began = time.monotonic()
        found = dial(("host", 1), 20.0, resolve=resolver(dead, dead, dead, dead, place))
        with closing(found) as handle:
            assert handle.getpeername()[:2] == place[:2]
        assert time.monotonic() - began < 3 * STAGGER_S


def test_nobody_answers() -> None:
    with silence() as dead:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            dial(("host", 1), 0.6, resolve=resolver(dead, dead))
        assert 0.6 <= time.monotonic() - began < 5
        with pytest.raises(ConnectionRefusedError) as caught:
            dial(("host", 1), 0.6, resolve=resolver(dead, refusing()))
        assert caught.value.errno == errno.ECONNREFUSED
