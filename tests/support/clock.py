"""Clocks that tests turn by hand, so that nothing sleeps."""

import asyncio


class FakeClock:
    """A monotonic clock and a wall clock that go on only when told; sleeping moves them on."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.now = 1000.0
        self.wall_offset = wall - self.now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        """Seconds since 1970."""
        return self.now + self.wall_offset

    def advance(self, seconds: float) -> None:
        self.now += seconds

    async def sleep(self, seconds: float) -> None:
        """Time passes at once; others get their turn as with a real sleep."""
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
