"""How many connections there are, told by what they bring, on a clock of its own."""

from dataclasses import dataclass, field

import pytest

from modelcellar.downloads.connections import (
    FIRST_SPAN_BYTES,
    MOST_FIXED_BYTES,
    MOST_SPAN_BYTES,
    SPAN_S,
    Connections,
)

MB = 1_000_000


@dataclass
class Line:
    """A line where each connection brings so much, and all together no more than ``limit``."""

    each: int
    limit: int
    now: float = 0.0
    fetched: float = 0.0
    seen: list[int] = field(default_factory=list)

    def run(self, connections: Connections, seconds: float) -> list[int]:
        """How many connections there were, each time that number changed."""
        for _ in range(int(seconds * 4)):
            connections.look(int(self.fetched))
            if self.seen[-1:] != [connections.allowed]:
                self.seen.append(connections.allowed)
            self.now += 0.25
            self.fetched += 0.25 * min(self.limit, self.each * connections.allowed)
        return self.seen


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [
        (10 * MB, [1, 2, 1]),
        (20 * MB, [1, 2, 4, 2]),
        (40 * MB, [1, 2, 4, 8, 4]),
        (1000 * MB, [1, 2, 4, 8]),
    ],
)
def test_as_many_as_make_it_faster(limit: int, wanted: list[int]) -> None:
    line = Line(each=10 * MB, limit=limit)
    assert line.run(Connections(8, clock=lambda: line.now), 20) == wanted


def test_a_disk_that_seeks_gets_one_and_the_user_is_obeyed() -> None:
    line = Line(each=10 * MB, limit=1000 * MB)
    assert line.run(Connections(1, clock=lambda: line.now), 20) == [1]
    line = Line(each=10 * MB, limit=10 * MB)
    assert line.run(Connections(3, fixed=True, clock=lambda: line.now), 20) == [3]


def test_a_connection_takes_on_some_seconds() -> None:
    line = Line(each=40 * MB, limit=40 * MB)
    connections = Connections(2, clock=lambda: line.now)
    assert connections.share(10 << 30) == FIRST_SPAN_BYTES
    line.run(connections, 0.75)
    assert connections.share(10 << 30) == 40 * MB * SPAN_S
    line.run(connections, 5)
    assert connections.allowed == 1
    assert connections.share(10 << 30) == 40 * MB * SPAN_S
    assert connections.share(5 * MB) == 5 * MB
    line = Line(each=4000 * MB, limit=4000 * MB)
    connections = Connections(2, clock=lambda: line.now)
    line.run(connections, 5)
    assert connections.share(10 << 30) == MOST_SPAN_BYTES


def test_the_only_one_takes_all() -> None:
    assert Connections(1).share(10 << 30) == 10 << 30
    assert Connections(1, fixed=True).share(0) == 1


def test_the_user_s_connections_begin_with_their_part() -> None:
    connections = Connections(4, fixed=True)
    assert connections.share(100 * MB) == 25 * MB
    assert connections.share(10 << 30) == MOST_FIXED_BYTES


def test_the_last_bytes_are_shared() -> None:
    connections = Connections(4, fixed=True)
    assert connections.share(40 * MB) == 10 * MB
    assert connections.share(0) == 1
