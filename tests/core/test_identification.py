"""Many files at once: how many calls that takes, and what a dead host does to it."""

import asyncio
import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from modelcellar.config import Settings, load_settings
from modelcellar.hf.client import HubClient
from modelcellar.hf.metadata_lookup import Calls, HubLookup
from modelcellar.hosts import open_hosts
from modelcellar.identification import Identification, Question
from modelcellar.origins import Match, Standing, Subject
from tests.support.fake_hub import (
    ArchivedFile,
    CivitaiFile,
    CivitaiVersion,
    FakeHub,
    FakeRepo,
    Stall,
    Status,
)
from tests.support.models import safetensors_bytes, sha256
from tests.support.origins import environment

FILES = 1000
MAX_CALLS_PER_FILE = 2.2
MAX_AFTER_TRIP_S = 1.0
MAX_CALLS_OF_THE_DEAD = 5
HOSTS = ("hub", "civitai", "civarchive")


@pytest.fixture
def settings(fake_hub: FakeHub, tmp_path: Path) -> Settings:
    environ = {**environment(fake_hub), "MODELCELLAR_LIBRARY": str(tmp_path / "library")}
    return load_settings(environ=environ, config_file=tmp_path / "none.toml")[0]


def identify(
    settings: Settings, questions: Sequence[Question], *, limit_s: float = math.inf
) -> tuple[Identification, ...]:
    async def work() -> tuple[Identification, ...]:
        async with open_hosts(settings, limit_s=limit_s) as hosts:
            return await hosts.identifier.identify(questions)

    return asyncio.run(work())


def question(name: str, data: bytes) -> Question:
    return Question(Subject(name, len(data), sha256(data), format="safetensors"))


def publish_library(hub: FakeHub) -> list[Question]:
    """What 1,000 files of somebody's disk are: 800 on the Hub, 100 on Civitai, 100 nowhere."""
    questions = []
    for number in range(FILES):
        data = safetensors_bytes(seed=number, size_bytes=64)
        name = f"somemodel{number:04}-v1.safetensors"
        if number < 700:
            hub.add(FakeRepo(f"author{number % 50}/somemodel{number:04}", {name: data}))
        elif number < 800:
            # Parts of ten models, in one repository each.
            part, model = number % 10, (number - 700) // 10
            name = f"large{model}-{part + 1:05}-of-00010.safetensors"
        elif number < 900:
            version = CivitaiVersion(number, number, (CivitaiFile(number, name, data),))
            hub.add_version(version)
        questions.append(question(name, data))
    for model in range(10):
        shards = range(700 + model * 10, 710 + model * 10)
        files = {
            questions[number].subject.name: safetensors_bytes(seed=number, size_bytes=64)
            for number in shards
        }
        hub.add(FakeRepo(f"big/large{model}", files))
    return questions


def test_calls_for_a_library_of_1000_files(fake_hub: FakeHub, settings: Settings) -> None:
    questions = publish_library(fake_hub)
    fake_hub.hub.limits.quotas["anonymous"]["api"] = 1_000_000
    found = identify(settings, questions)
    verified = [one.is_verified for one in found]
    assert verified == [True] * 900 + [False] * 100
    api = [entry for entry in fake_hub.log.of("hub") if entry.path.startswith("/api/models")]
    assert len(api) / FILES <= MAX_CALLS_PER_FILE
    # One call for all digests; the pages of what it knows are fetched a hundred at a time.
    assert len(fake_hub.log.of("civitai", containing="by-hash/ids")) == 1
    assert len(fake_hub.log.of("civitai")) == 2
    fake_hub.log.clear()
    assert [one.is_verified for one in identify(settings, questions)] == verified
    assert fake_hub.log.entries == ()


def unknown_files() -> list[Question]:
    return [
        question(f"unheardof{number}.safetensors", safetensors_bytes(seed=number, size_bytes=64))
        for number in range(FILES)
    ]


def trip_at(caplog: pytest.LogCaptureFixture, origin: str) -> float:
    """When the circuit of a host opened, in seconds since 1970; it did so once."""
    (opened,) = (one for one in caplog.records if f"{origin} is left alone" in one.getMessage())
    return opened.created


class TestDeadHosts:
    """The bar: 1,000 look-ups end within 1 s of the trip, with 5 requests at most."""

    @pytest.fixture(autouse=True)
    def log_of_trips(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "modelcellar.network.host")

    @pytest.mark.parametrize("is_refused", [True, False])
    def test_all_of_them(
        self,
        fake_hub: FakeHub,
        settings: Settings,
        caplog: pytest.LogCaptureFixture,
        is_refused: bool,
    ) -> None:
        questions = unknown_files()
        with ExitStack() as dead:
            if is_refused:
                for site in HOSTS:
                    dead.enter_context(fake_hub.chaos.refused(site))
            else:
                fake_hub.chaos.add(Status(503), times=None)
            found = identify(settings, questions)
            ended = time.time()
        assert all(one.pending is not None for one in found)
        for origin in (settings.hub_endpoint, settings.civarchive_endpoint):
            assert ended - trip_at(caplog, origin) <= MAX_AFTER_TRIP_S
        assert max(len(fake_hub.log.of(site)) for site in HOSTS) <= MAX_CALLS_OF_THE_DEAD
        fake_hub.log.clear()
        # Still left alone, by the next run as well.
        assert identify(settings, questions[:1])[0].pending is not None
        assert not fake_hub.log.of("hub")

    def test_the_hub_alone(
        self, fake_hub: FakeHub, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Who is alive is asked for every file, and none of that waits for the Hub."""
        questions = unknown_files()
        lead = ArchivedFile("huggingface", "https://huggingface.co/acme/toy/blob/main/a", "a")
        fake_hub.civarchive.files = {
            str(one.subject.sha256): (lead,) for one in questions if one.subject.sha256
        }
        fake_hub.chaos.add(Status(503), host="hub", times=None)

        async def work() -> tuple[tuple[Identification, ...], list[tuple[float, float]]]:
            async with open_hosts(settings) as hosts:
                hub = hosts.identifier.hub = TimedLookup(hosts.hub)
                return await hosts.identifier.identify(questions), hub.spans

        found, spans = asyncio.run(work())
        assert len(fake_hub.log.of("civarchive")) == FILES
        assert len(fake_hub.log.of("hub")) <= MAX_CALLS_OF_THE_DEAD
        # What CivArchive says is kept although it cannot be followed now.
        assert {(len(one.matches), one.pending is not None) for one in found} == {(1, True)}
        trip = trip_at(caplog, settings.hub_endpoint)
        assert sum(end - max(begin, trip) for begin, end in spans if end > trip) <= MAX_AFTER_TRIP_S


class TimedLookup(HubLookup):
    """Notes from when to when each look-up waited for the Hub, in seconds since 1970."""

    def __init__(self, hub: HubClient) -> None:
        super().__init__(hub)
        self.spans: list[tuple[float, float]] = []

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.time()
        try:
            yield
        finally:
            self.spans.append((began, time.time()))

    async def lookup_by_filename(
        self, subject: Subject, *, calls: Calls | None = None
    ) -> tuple[Match, ...]:
        with self._timed():
            return await super().lookup_by_filename(subject, calls=calls)

    async def confirm(self, subject: Subject, repo_id: str) -> Match | None:
        with self._timed():
            return await super().confirm(subject, repo_id)


def test_a_look_up_ends_in_time_and_a_silent_host_does_not_take_it_all(
    fake_hub: FakeHub, settings: Settings
) -> None:
    data = safetensors_bytes(seed=1, size_bytes=64)
    fake_hub.add(FakeRepo("acme/toymodel", {"toymodel.safetensors": data}))
    fake_hub.chaos.add(Stall(30.0, None), host="civitai", times=None)
    asked = [question("toymodel.safetensors", data)]
    assert identify(settings, asked, limit_s=4.0)[0].is_verified
    fake_hub.chaos.add(Stall(30.0, None), times=None)
    asked = [question("another.safetensors", safetensors_bytes(seed=2, size_bytes=64))]
    began = time.monotonic()
    assert identify(settings, asked, limit_s=0.5)[0].pending is not None
    assert time.monotonic() - began < 2.0


def test_an_impostor_stays_a_candidate_among_a_thousand(
    fake_hub: FakeHub, settings: Settings
) -> None:
    real = safetensors_bytes(seed=1, size_bytes=64)
    fake_hub.add(FakeRepo("acme/toymodel", {"toymodel.safetensors": real}))
    fake = safetensors_bytes(seed=2, size_bytes=64)
    found = identify(
        settings,
        [question("toymodel.safetensors", fake), question("renamed-beyond-hope.safetensors", real)],
    )
    assert {match.status for match in found[0].matches} == {Standing.CANDIDATE}
    again = identify(settings, [question("renamed-beyond-hope.safetensors", real)])
    assert again[0].is_verified
