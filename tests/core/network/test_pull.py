"""Bytes of any number over real connections on the loopback, from servers that go wrong."""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from modelcellar.download_records import Patience
from modelcellar.errors import (
    TransferBrokenError,
)
from modelcellar.network.bulk import Sink
from modelcellar.network.http import Request, Response
from modelcellar.network.manager import NetworkManager
from modelcellar.network.secret import Secret
from tests.support.fake_hub import (
    FakeHub,
    FakeRepo,
)

BIG = random.Random(8).randbytes(3_000_001)
SMALL = b'{"model_type": "toy"}\n'
SHORT = Patience(silence_s=0.2, floor_bytes_per_s=100_000.0, window_s=0.3)
PATIENCE = Patience()
TOKEN = "hf_CANARYcanaryCANARYcanary"


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


def act(story: Story, **options: bool) -> FakeHub:
    """Let ``story`` happen between a manager and a Hub with one repository."""
    repo = FakeRepo("acme/toy", {"model.safetensors": BIG, "config.json": SMALL})
    with FakeHub([repo]) as fake:

        async def main() -> None:
            async with NetworkManager(**options) as manager:
                await story(manager, fake)

        asyncio.run(main())
        assert not [one for one in threading.enumerate() if one.name.startswith("Thread-pull")]
        return fake


def file_of(fake: FakeHub, name: str = "model.safetensors", **headers: str | Secret) -> Request:
    url = f"{fake.hub_url}/acme/toy/resolve/main/{name}"
    return Request("GET", url, {name.replace("_", "-"): text for name, text in headers.items()})


async def broken(
    manager: NetworkManager, request: Request, got: Got, patience: Patience = SHORT
) -> TransferBrokenError:
    with pytest.raises(TransferBrokenError) as caught:
        await manager.pull(request, got, patience=patience)
    assert caught.value.__context__ is None
    return caught.value


# --- what comes ---


def test_a_whole_file_over_a_redirect() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        got = Got()
        answer = await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert bytes(got.body) == BIG
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-length"] == str(len(BIG))
        assert answer.url.startswith(fake.cdn_url)
        assert got.answers == [answer]
        assert len(got.threads) == 1
        assert threading.get_ident() not in got.threads

    fake = act(story)
    assert [entry.site for entry in fake.log.entries] == ["hub", "cdn"]
