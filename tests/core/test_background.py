"""Look-ups beside an import, as the import sees them."""

import threading
import time
from pathlib import Path

import pytest

from modelcellar.background import BackgroundLookup
from modelcellar.config import Settings, load_settings
from modelcellar.content import file_records
from modelcellar.io.manager import IoManager
from modelcellar.lookups import index_repositories
from modelcellar.records import FileRecord, HashedFile
from modelcellar.sources import Source, find_sources
from tests.support.fake_hub import FakeHub, Stall
from tests.support.origins import Origins, environment, make_origins


@pytest.fixture
def origins(fake_hub: FakeHub, tmp_path: Path) -> Origins:
    return make_origins(fake_hub, tmp_path / "files")


@pytest.fixture
def settings(fake_hub: FakeHub, tmp_path: Path) -> Settings:
    return load_settings(environ=environment(fake_hub), config_file=tmp_path / "none.toml")[0]


def source_of(path: Path) -> Source:
    (source,) = find_sources([path])
    assert isinstance(source, Source)
    return source


def records_of(source: Source) -> tuple[FileRecord, ...]:
    hashed = IoManager().hash_many([file.path for file in source.files])
    assert all(isinstance(one, HashedFile) for one in hashed)
    return file_records(source.files, [one for one in hashed if isinstance(one, HashedFile)])


def test_what_was_asked_is_answered(origins: Origins, settings: Settings) -> None:
    lookup = BackgroundLookup(settings, grace_s=20)
    for path in (origins.published, origins.on_civitai, origins.homeless):
        source = source_of(path)
        lookup.ask(source, path.name, records_of(source))
    answers = lookup.finish()
    assert [answers[path.name][0].is_verified for path in (origins.published, origins.on_civitai)]
    assert not answers[origins.homeless.name][0].is_verified


def test_an_original_that_is_gone_by_then_is_known_by_its_digest(
    origins: Origins, settings: Settings
) -> None:
    """As after ``--mode move``; and it is the end of nobody else's look-up."""
    lookup = BackgroundLookup(settings, grace_s=20)
    asked = [source_of(path) for path in (origins.published, origins.on_civitai)]
    records = [records_of(source) for source in asked]
    origins.published.unlink()
    for source, found in zip(asked, records, strict=True):
        lookup.ask(source, source.name, found)
    answers = lookup.finish()
    assert [answers[source.name][0].is_verified for source in asked] == [True, True]


def test_repositories_are_listed_before_the_digests_are_known(
    origins: Origins, settings: Settings, fake_hub: FakeHub
) -> None:
    lookup = BackgroundLookup(settings, grace_s=20)
    source = source_of(origins.published)
    lookup.prepare(source)
    deadline = time.monotonic() + 20
    while not fake_hub.log.of("hub", containing="/api/models/someone/epicrealism"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)  # until the listing is in the index
    searches = len(fake_hub.log.of("hub"))
    lookup.ask(source, "it", records_of(source))
    assert lookup.finish()["it"][0].is_verified
    assert len(fake_hub.log.of("hub")) - searches <= 3  # the card; no search
    assert not fake_hub.log.of("civitai")


def test_who_does_not_answer_is_given_up(
    origins: Origins, settings: Settings, fake_hub: FakeHub
) -> None:
    fake_hub.chaos.add(Stall(30.0, None), times=None)
    lookup = BackgroundLookup(settings, grace_s=0.3)
    source = source_of(origins.published)
    lookup.ask(source, "it", records_of(source))
    began = time.monotonic()
    answers = lookup.finish()
    assert time.monotonic() - began < 2
    # What was known without any host is told, and that nobody has been asked.
    assert all(one.pending is not None for one in answers.get("it", ()))


def test_what_was_listed_before_is_known_whoever_does_not_answer(
    origins: Origins, settings: Settings, fake_hub: FakeHub
) -> None:
    index_repositories(["someone/epicrealism"], settings)
    fake_hub.chaos.add(Stall(30.0, None), times=None)
    lookup = BackgroundLookup(settings, grace_s=3)
    source = source_of(origins.published)
    lookup.ask(source, "it", records_of(source))
    (answer,) = lookup.finish()["it"]
    assert answer.is_verified
    assert answer.pending is not None  # its page has not been seen yet


def test_it_ends_by_itself(origins: Origins, settings: Settings) -> None:
    lookup = BackgroundLookup(settings, grace_s=20)
    source = source_of(origins.homeless)
    lookup.ask(source, "it", records_of(source))
    lookup.finish()
    deadline = time.monotonic() + 5
    while any(thread.name == "cellar-lookup" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_asked_starts_nothing(settings: Settings) -> None:
    assert BackgroundLookup(settings).finish() == {}
    assert not any(thread.name == "cellar-lookup" for thread in threading.enumerate())


def test_an_index_that_cannot_be_opened_fails_no_import(
    origins: Origins, settings: Settings, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = home / "state" / "modelcellar"
    (place / "oids.db").mkdir(parents=True)
    lookup = BackgroundLookup(settings, grace_s=5)
    source = source_of(origins.published)
    lookup.ask(source, "it", records_of(source))
    assert lookup.finish()["it"][0].is_verified  # by an index that lasts as long as the import
    assert "what was listed before is not used" in caplog.text
