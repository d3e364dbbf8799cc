"""What the tests of transfers share: a receiver, a Hub on the loopback, and what must hold."""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from modelcellar.download_records import Patience
from modelcellar.errors import TransferBrokenError
from modelcellar.network.bulk import Sink
from modelcellar.network.http import Request, Response
from modelcellar.network.manager import NetworkManager
from modelcellar.network.secret import Secret
from tests.support.fake_hub import FakeHub, FakeRepo

BIG = random.Random(8).randbytes(3_000_001)
SMALL = b'{"model_type": "toy"}\n'
PATIENCE = Patience()


@dataclass
class Got:
    """A receiver that keeps what comes, and notes in which thread."""

    wants: bool = True
    answers: list[Response] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    pieces: int = 0
    threads: set[int] = field(default_factory=set)

    def __call__(self, answer: Response) -> Sink | None:
        self.answers.append(answer)
        self.threads.add(threading.get_ident())
        return self.take if self.wants else None

    def take(self, piece: bytes) -> None:
        assert type(piece) is bytes
        assert piece
        self.pieces += 1
        self.body += piece
        self.threads.add(threading.get_ident())


Story = Callable[[NetworkManager, FakeHub], Awaitable[None]]


def act(story: Story, **options: Any) -> FakeHub:
    """Let ``story`` happen between a manager and a Hub with one repository."""
    repo = FakeRepo("acme/toy", {"model.safetensors": BIG, "config.json": SMALL})
    with FakeHub([repo]) as fake:

        async def main() -> None:
            async with NetworkManager(**options) as manager:
                await story(manager, fake)

        asyncio.run(main())
        assert_no_thread_is_left()
        return fake


def assert_no_thread_is_left() -> None:
    """Those of the fake are joined by it; those of transfers end by themselves."""
    ends_at = time.monotonic() + 5.0
    while any("(run)" in one.name for one in threading.enumerate()):
        assert time.monotonic() < ends_at
        time.sleep(0.005)


def file_of(fake: FakeHub, name: str = "model.safetensors", **headers: str | Secret) -> Request:
    url = f"{fake.hub_url}/acme/toy/resolve/main/{name}"
    return Request("GET", url, {name.replace("_", "-"): text for name, text in headers.items()})


async def broken(
    manager: NetworkManager, request: Request, got: Got, patience: Patience = PATIENCE
) -> TransferBrokenError:
    with pytest.raises(TransferBrokenError) as caught:
        await manager.pull(request, got, patience=patience)
    assert_ours(caught.value)
    return caught.value


def assert_ours(error: BaseException | None) -> None:
    """What lies behind it is ours as well: those of libraries may quote what was sent."""
    while error is not None:
        assert type(error).__module__.startswith("modelcellar.")
        error = error.__context__
