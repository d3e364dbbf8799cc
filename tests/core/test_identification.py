"""Many files at once: how many calls that takes, and what a dead host does to it."""

import asyncio
import math
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from modelcellar.config import Settings, load_settings
from modelcellar.hosts import open_hosts
from modelcellar.identification import Identification, Question
from modelcellar.origins import Standing, Subject
from tests.support.fake_hub import CivitaiFile, CivitaiVersion, FakeHub, FakeRepo, Stall
from tests.support.models import safetensors_bytes, sha256
from tests.support.origins import environment

FILES = 1000
MAX_CALLS_PER_FILE = 2.2


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


def test_a_dead_hub_ends_a_thousand_look_ups_at_once(fake_hub: FakeHub, settings: Settings) -> None:
    questions = [
        question(f"model{number}.safetensors", safetensors_bytes(seed=number, size_bytes=64))
        for number in range(FILES)
    ]
    with fake_hub.chaos.refused("hub"):
        began = time.monotonic()
        found = identify(settings, questions)
        took_s = time.monotonic() - began
    assert all(one.pending is not None for one in found)
    # The trip itself takes a few retries with their waits; CivArchive is asked for each file.
    assert took_s < 30
    assert len(fake_hub.log.of("hub")) == 0
    later = identify(settings, questions[:1])
    assert later[0].pending is not None  # still left alone, by the next run as well


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
