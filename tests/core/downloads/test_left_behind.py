"""What other programs and earlier runs have left: it is used, or kept, and never harmed."""

import errno
import hashlib
import json
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelcellar import ModelLibrary
from modelcellar.config import Settings
from modelcellar.download_records import FileState
from modelcellar.downloads import downloader
from modelcellar.downloads.publishing import publish
from modelcellar.downloads.shelf import Note, Shelf
from modelcellar.errors import CellarError, LibraryBusyError, TransferBrokenError
from modelcellar.io.locking import try_lock
from modelcellar.records import ModelType
from modelcellar.reports import ImportStatus, Progress
from tests.support.downloads import QUICK, download_settings
from tests.support.fake_hub import Cut, FakeHub, FakeRepo, Status
from tests.support.models import safetensors_bytes

PATIENCE = replace(QUICK, attempts=2)
SIZE = 3 << 20
DATA = safetensors_bytes(seed=1, size_bytes=SIZE)
OTHER = safetensors_bytes(seed=2, size_bytes=SIZE)
KEY = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def settings(fake_hub: FakeHub, tmp_path: Path) -> Settings:
    return download_settings(fake_hub, tmp_path / "library")


@pytest.fixture
def library(settings: Settings) -> Iterator[ModelLibrary]:
    with ModelLibrary.create(settings.library, settings=settings) as opened:
        yield opened


@pytest.fixture
def blobs(settings: Settings) -> Path:
    """The cache of the Hub's own client."""
    folder = settings.hub_home / "hub" / "models--acme--toy" / "blobs"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def toy(fake_hub: FakeHub) -> None:
    fake_hub.add(FakeRepo("acme/toy", {"toy.safetensors": DATA}))


def leave_a_part(library: ModelLibrary, fake_hub: FakeHub) -> int:
    """A download that broke off; how many bytes of it are there."""
    first = fake_hub.chaos.add(Cut(1 << 20), host="cdn", times=1)
    rest = fake_hub.chaos.add(Status(503), host="cdn", nth=2, times=None)
    with pytest.raises(TransferBrokenError):
        library.download("acme/toy", patience=PATIENCE, connections=1)
    fake_hub.chaos.remove(first)
    fake_hub.chaos.remove(rest)
    fake_hub.log.clear()
    (unfinished,) = library.unfinished_downloads()
    assert unfinished.held_bytes >= 1 << 20
    return unfinished.held_bytes


@pytest.mark.usefixtures("toy")
class TestACacheThatIsDamaged:
    def test_what_an_earlier_run_has_fetched_is_not_lost_for_it(
        self, library: ModelLibrary, fake_hub: FakeHub, blobs: Path
    ) -> None:
        held_bytes = leave_a_part(library, fake_hub)
        (blobs / KEY).write_bytes(b"x" + DATA[1:])
        library.download("acme/toy", patience=PATIENCE, connections=1)
        assert fake_hub.log.bytes_sent("cdn") < SIZE - held_bytes + 10_000
        assert (blobs / KEY).read_bytes() == b"x" + DATA[1:]

    def test_it_is_told_and_counted_as_fetched(self, library: ModelLibrary, blobs: Path) -> None:
        (blobs / KEY).write_bytes(b"x" + DATA[1:])
        seen: list[Progress] = []
        report = library.download("acme/toy", patience=PATIENCE, progress=seen.append)
        (file,) = report.files
        assert file.state is FileState.MISSING
        assert (report.bytes_fetched, report.bytes_reused) == (len(DATA), 0)
        assert all(one.bytes_done <= one.bytes_total for one in seen)


class TestFilesOfTheCache:
    def test_a_kill_while_one_is_taken_over_does_not_let_it_be_written_to(
        self, library: ModelLibrary, fake_hub: FakeHub, tmp_path: Path
    ) -> None:
        text = b"a small text\n"
        repo = fake_hub.add(FakeRepo("acme/small", {"a.safetensors": DATA, "a.txt": text}))
        theirs = tmp_path / "theirs"
        theirs.write_bytes(b"A SMALL TEXT\n")
        shelf = Shelf(library.path)
        key = f"git-{repo.head.files['a.txt'].oid}"
        shelf.folder.mkdir(parents=True)
        os.link(theirs, shelf.slot(key).part)
        library.download("acme/small", patience=PATIENCE)
        assert theirs.read_bytes() == b"A SMALL TEXT\n"

    @pytest.mark.usefixtures("toy")
    def test_they_stay_as_they_are(self, library: ModelLibrary, blobs: Path) -> None:
        (blobs / KEY).write_bytes(DATA)
        (blobs / KEY).chmod(0o640)
        os.utime(blobs / KEY, (1_000_000_000, 1_000_000_000))
        library.download("acme/toy", patience=PATIENCE)
        library.undo()
        found = (blobs / KEY).stat()
        assert (found.st_mode & 0o777, found.st_mtime) == (0o640, 1_000_000_000)
        assert (blobs / KEY).read_bytes() == DATA

    def test_one_that_was_taken_over_can_be_given_up(
        self, library: ModelLibrary, fake_hub: FakeHub, blobs: Path
    ) -> None:
        files = {"a.safetensors": DATA, "b.safetensors": OTHER}
        fake_hub.add(FakeRepo("acme/toy", files))
        (blobs / KEY).write_bytes(DATA)
        rule = fake_hub.chaos.add(Status(503), host="cdn", times=None)
        with pytest.raises(TransferBrokenError):
            library.download("acme/toy", patience=PATIENCE)
        fake_hub.chaos.remove(rule)
        assert [one.held_bytes for one in library.unfinished_downloads()] == [len(DATA)]
        library.discard_downloads("acme/toy")
        assert not (library.path / "staging" / "downloads").exists()
        assert (blobs / KEY).read_bytes() == DATA


class TestWhatAnotherProcessIsAt:
    """Locks are those of files: a second shelf in the same process is as one in another."""

    def test_it_is_told_of_and_not_given_up(
        self, library: ModelLibrary, fake_hub: FakeHub, settings: Settings
    ) -> None:
        fake_hub.add(FakeRepo("acme/toy", {"toy.safetensors": DATA}))
        leave_a_part(library, fake_hub)
        with closing(Shelf(settings.library)) as theirs:
            assert theirs.claim(KEY)
            (unfinished,) = library.unfinished_downloads()
            assert unfinished.is_under_way
            with pytest.raises(LibraryBusyError, match="another process is downloading acme/toy"):
                library.discard_downloads("acme/toy")
        (unfinished,) = library.unfinished_downloads()
        assert not unfinished.is_under_way
        assert library.discard_downloads("acme/toy") == (unfinished,)


def test_what_another_process_is_at_is_not_dropped(library: ModelLibrary) -> None:
    """It may have begun in the moment since this one let go of it."""
    with closing(Shelf(library.path)) as other, closing(Shelf(library.path)) as shelf:
        assert other.claim(KEY)
        other.open(KEY, SIZE).close()
        shelf.drop(KEY)
        assert other.slot(KEY).part.exists()
        assert not shelf.claim(KEY)
        other.release(KEY)
        shelf.drop(KEY)
        assert list(shelf.folder.iterdir()) == []


def test_an_address_is_given_up_as_it_was_written(library: ModelLibrary) -> None:
    """What may be a secret in it was never written down."""
    with closing(Shelf(library.path)) as shelf:
        assert shelf.claim(KEY)
        shown = "https://example.org/a.bin"
        note = Note(KEY, shown, (), "web", shown, "a.bin", SIZE, "2026-01-01T00:00:00Z")
        shelf.write_note(note)
        shelf.open(KEY, SIZE).close()
    (found,) = library.discard_downloads("https://example.org/a.bin?signature=secret")
    assert found.target == "https://example.org/a.bin"
    assert not (library.path / "staging" / "downloads").exists()


def test_a_file_of_the_library_that_its_owner_has_changed_is_not_published(
    library: ModelLibrary, fake_hub: FakeHub, blobs: Path
) -> None:
    """It came out of the cache as a second name of the same file."""
    fake_hub.add(FakeRepo("acme/toy", {"toy.safetensors": DATA}))
    index = json.dumps({"_class_name": "Toy", "unet": ["diffusers", "U"]}).encode()
    files = {"model_index.json": index, "unet/u.safetensors": DATA, "unet/v.safetensors": OTHER}
    fake_hub.add(FakeRepo("acme/pipe", files))
    (blobs / KEY).write_bytes(DATA)
    library.download("acme/toy", patience=PATIENCE)
    with (blobs / KEY).open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"changed")
    report = library.download("acme/pipe", patience=PATIENCE)
    (model,) = report.models
    assert (library.path / "models" / model.id / "unet/u.safetensors").read_bytes() == DATA
    if (blobs / KEY).stat().st_nlink > 1:  # else it was cloned, and nobody can change it
        assert any("was changed since it came into the library" in one for one in report.notes)


def test_a_model_that_its_owner_has_changed_is_mended(
    library: ModelLibrary, fake_hub: FakeHub, blobs: Path
) -> None:
    fake_hub.add(FakeRepo("acme/toy", {"toy.safetensors": DATA}))
    (blobs / KEY).write_bytes(DATA)
    (model,) = library.download("acme/toy", patience=PATIENCE).models
    path = library.path / "models" / model.id / "toy.safetensors"
    if (blobs / KEY).stat().st_nlink == 1:
        pytest.skip("it was cloned here, and nobody can change it")
    with (blobs / KEY).open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"changed")
    assert path.read_bytes() != DATA
    library.download("acme/toy", patience=PATIENCE)
    assert path.read_bytes() == DATA
    assert b"changed" in (blobs / KEY).read_bytes()
    assert library.verify().damaged == ()


def test_a_download_in_vain_leaves_nothing(library: ModelLibrary, fake_hub: FakeHub) -> None:
    fake_hub.add(FakeRepo("acme/toy", {"toy.safetensors": DATA, "README.md": b"x" * 100_000}))
    fake_hub.chaos.add(Status(503), host="cdn", times=None)
    fake_hub.chaos.add(Status(404), path="*README*", times=None)
    with pytest.raises(CellarError):
        library.download("acme/toy", patience=PATIENCE)
    assert list((library.path / "staging").rglob("*.*")) == []


def test_a_model_that_was_found_damaged_is_mended(library: ModelLibrary, fake_hub: FakeHub) -> None:
    fake_hub.add(FakeRepo("acme/toy", {"toy.safetensors": DATA}))
    (model,) = library.download("acme/toy", patience=PATIENCE).models
    path = library.path / "models" / model.id / "toy.safetensors"
    path.chmod(0o644)
    path.write_bytes(b"x" + DATA[1:])
    assert library.verify().ok == 0
    library.download("acme/toy", patience=PATIENCE)
    assert path.read_bytes() == DATA


def test_the_command_that_goes_on_is_told_with_all_that_was_said(
    library: ModelLibrary, fake_hub: FakeHub
) -> None:
    fake_hub.add(FakeRepo("acme/toy", {"toy.safetensors": DATA}))
    fake_hub.chaos.add(Cut(1 << 20), host="cdn", times=1)
    fake_hub.chaos.add(Status(503), host="cdn", nth=2, times=None)
    with pytest.raises(TransferBrokenError):
        library.download(
            "acme/toy", ["*.safetensors"], name="mine", model_type=ModelType.LORA, patience=PATIENCE
        )
    (unfinished,) = library.unfinished_downloads()
    assert unfinished.arguments == ("*.safetensors", "--name", "mine", "--type", "lora")


class TestALibraryThatCanOnlyBeRead:
    @pytest.fixture(autouse=True)
    def _read_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(shelf: Shelf, key: str) -> bool:
            raise OSError(errno.EROFS, "Read-only file system", str(shelf.slot(key).lock))

        self.refuse = lambda: monkeypatch.setattr(Shelf, "claim", refuse)

    def test_its_unfinished_downloads_are_told_of(
        self, library: ModelLibrary, fake_hub: FakeHub
    ) -> None:
        fake_hub.add(FakeRepo("acme/toy", {"toy.safetensors": DATA}))
        leave_a_part(library, fake_hub)
        self.refuse()
        assert [one.target for one in library.unfinished_downloads()] == ["acme/toy"]
        report = library.download("acme/toy", dry_run=True)
        assert [one.state for one in report.files] == [FileState.MISSING]


class TestAKillAtTheVeryEnd:
    def test_before_the_file_is_protected(
        self, library: ModelLibrary, fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It has its last name by then: a part that can only be read could not be gone on with."""
        fake_hub.add(FakeRepo("acme/toy", {"toy.safetensors": DATA}))

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("modelcellar.downloads.shelf.chmod", die)
            with pytest.raises(KeyboardInterrupt):
                library.download("acme/toy", patience=PATIENCE)
        assert not list((library.path / "staging" / "downloads").glob("*.part"))
        fake_hub.log.clear()
        (model,) = library.download("acme/toy", patience=PATIENCE).models
        assert not fake_hub.log.of("cdn")
        content = library.path / "models" / model.id / "toy.safetensors"
        assert content.stat().st_mode & 0o777 == 0o444


def test_more_unfinished_files_than_may_be_open(library: ModelLibrary) -> None:
    keys = [f"{number:064x}" for number in range(150)]
    for key in keys:
        with closing(Shelf(library.path)) as shelf:
            assert shelf.claim(key)
            shelf.open(key, 10).close()
            note = Note(key, "acme/toy", (), "huggingface", "acme/toy", key, 10, "2026-01-01")
            shelf.write_note(note)
            shelf.slot(key).part.replace(shelf.slot(key).done)
            shelf.slot(key).part.touch()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, before[1]))
    try:
        (told,) = library.unfinished_downloads()
        assert library.discard_downloads("acme/toy") == (told,)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert not (library.path / "staging" / "downloads").exists()


@pytest.mark.usefixtures("toy")
def test_what_was_begun_of_other_content_is_given_up_and_told(
    library: ModelLibrary, fake_hub: FakeHub
) -> None:
    leave_a_part(library, fake_hub)
    fake_hub.add(FakeRepo("acme/toy", {"toy.safetensors": OTHER}))
    report = library.download("acme/toy", patience=PATIENCE)
    assert any("was changed at its source" in note for note in report.notes)
    assert library.unfinished_downloads() == ()


@pytest.mark.usefixtures("toy")
def test_where_files_cannot_have_two_names(
    library: ModelLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    (model,) = library.download("acme/toy", patience=PATIENCE).models
    assert (library.path / "models" / model.id / "toy.safetensors").read_bytes() == DATA
    assert not (library.path / "staging" / "downloads").exists()


@pytest.mark.usefixtures("toy")
def test_another_process_publishes_just_before(
    library: ModelLibrary, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes what came into the library, and nothing of it is left on the shelf."""

    def other() -> None:
        with ModelLibrary(settings.library, settings=settings) as theirs:
            assert theirs.download("acme/toy", patience=PATIENCE).models

    def late(*args: Any, **more: Any) -> Any:
        monkeypatch.setattr(downloader, "publish", publish)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return publish(*args, **more)

    monkeypatch.setattr(downloader, "publish", late)
    report = library.download("acme/toy", patience=PATIENCE)
    assert [one.status for one in report.results] == [ImportStatus.DUPLICATE]


def test_a_lock_whose_file_is_taken_away_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever held it was done, between our opening and our locking it."""
    real, left = try_lock, [1]

    def lock(path: Path, timeout_s: float) -> Any:
        held = real(path, timeout_s)
        if left and left.pop():
            path.unlink()
            path.touch()
        return held

    monkeypatch.setattr("modelcellar.downloads.shelf.try_lock", lock)
    (tmp_path / "staging").mkdir()
    with closing(Shelf(tmp_path)) as ours, closing(Shelf(tmp_path)) as theirs:
        assert ours.claim(KEY)
        assert not theirs.claim(KEY)
