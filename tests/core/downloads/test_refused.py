"""Repositories that cannot come in as they are: what is said, and that nothing is begun."""

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from modelcellar.config import Settings
from modelcellar.downloads.connections import Connections
from modelcellar.downloads.shelf import Shelf
from modelcellar.errors import NotPublishedError, SourceRefusedError
from modelcellar.io.hashing import ArrivingFile
from modelcellar.records import DriveKind, DriveOverride
from tests.support.downloads import QUICK, download_settings
from tests.support.fake_hub import FakeHub, FakeRepo
from tests.support.models import safetensors_bytes

DATA = safetensors_bytes(seed=1)


@pytest.fixture
def settings(fake_hub: FakeHub, tmp_path: Path) -> Settings:
    return download_settings(fake_hub, tmp_path / "library")


@pytest.fixture
def library(settings: Settings) -> Iterator[ModelLibrary]:
    with ModelLibrary.create(settings.library, settings=settings) as opened:
        yield opened


def test_two_names_that_are_one_elsewhere(library: ModelLibrary, fake_hub: FakeHub) -> None:
    fake_hub.add(FakeRepo("acme/toy", {"A.safetensors": DATA, "a.safetensors": DATA + b"x"}))
    with pytest.raises(SourceRefusedError) as caught:
        library.download("acme/toy", patience=QUICK)
    assert caught.value.code == "name_collision"
    assert "--exclude" in caught.value.hint
    assert "import" not in caught.value.hint


def test_a_repository_of_names_that_cannot_be_kept(
    library: ModelLibrary, fake_hub: FakeHub
) -> None:
    fake_hub.add(FakeRepo("acme/toy", {"NUL": DATA, "con.txt": b"x"}))
    with pytest.raises(NotPublishedError, match=r"NUL is left out: .* so are 1 more"):
        library.download("acme/toy", patience=QUICK)


def test_a_dry_run_shows_what_there_is_no_room_for(
    library: ModelLibrary, settings: Settings, fake_hub: FakeHub
) -> None:
    fake_hub.add(FakeRepo("acme/toy", {"toy.safetensors": DATA}))
    with ModelLibrary(library.path, settings=replace(settings, min_free_bytes=1 << 60)) as crowded:
        report = crowded.download("acme/toy", patience=QUICK, dry_run=True)
        assert [one.path for one in report.files] == ["toy.safetensors"]
        assert any("no space" in note for note in report.notes)
        with pytest.raises(OSError, match="no space"):
            crowded.download("acme/toy", patience=QUICK)


def test_where_there_is_no_room_for_all_of_them_nothing_is_begun(
    library: ModelLibrary, fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = [safetensors_bytes(seed=seed, size_bytes=1 << 20) for seed in (1, 2)]
    fake_hub.add(FakeRepo("acme/toy", {"a.safetensors": big[0], "b.safetensors": big[1]}))
    really, opened = Shelf.open, []

    def open_(shelf: Shelf, key: str, size_bytes: int) -> ArrivingFile:
        opened.append(key)
        if len(opened) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(shelf.slot(key).part))
        return really(shelf, key, size_bytes)

    monkeypatch.setattr(Shelf, "open", open_)
    with pytest.raises(OSError, match="No space left"):
        library.download("acme/toy", patience=QUICK)
    assert library.unfinished_downloads() == ()
    assert not fake_hub.log.of("cdn")


@pytest.mark.parametrize(("kind", "most"), [(DriveKind.HDD, 1), (DriveKind.SSD, 8)])
def test_a_disk_that_seeks_is_given_one_stream(
    kind: DriveKind,
    most: int,
    library: ModelLibrary,
    settings: Settings,
    fake_hub: FakeHub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def note(most: int) -> Connections:
        seen.append(most)
        return Connections(most)

    monkeypatch.setattr("modelcellar.downloads.downloader.Connections", note)
    fake_hub.add(FakeRepo("acme/toy", {"toy.safetensors": DATA}))
    drive = (DriveOverride(str(library.path), kind),)
    with ModelLibrary(library.path, settings=replace(settings, drive=drive)) as opened:
        opened.download("acme/toy", patience=QUICK)
    assert seen == [most]
