"""Verification: damage is found each time, and never becomes the new truth."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelcellar.bookkeeping import Bookkeeper
from modelcellar.config import Settings
from modelcellar.errors import ModelNotFoundError
from modelcellar.index import Catalog
from modelcellar.io.manager import IoManager
from modelcellar.library import ModelLibrary
from modelcellar.records import EditChanges, ModelRecord
from modelcellar.reports import ImportMode, Progress
from modelcellar.search.index_text import search_text
from modelcellar.store import Store
from modelcellar.verifier import Verifier
from tests.support.imports import statuses
from tests.support.models import write_diffusers_folder, write_gguf
from tests.support.trees import tree

CATALOG = frozenset({"catalog", ".lock"})


@pytest.fixture
def models(library: ModelLibrary, source_folder: Path) -> dict[str, ModelRecord]:
    """Three models in the library, by name."""
    for seed, name in enumerate("abc"):
        write_gguf(source_folder / f"{name}.gguf", seed=seed)
    return {model.name: model for model in library.import_paths([source_folder]).models}


def harm(library: ModelLibrary, model: ModelRecord, how: str, number: int = 0) -> Path:
    """Damage one file of a model the way disks and people do."""
    path = library.file_path(model, model.files[number])
    path.parent.chmod(0o755)
    path.chmod(0o644)
    if how == "flip":
        with path.open("r+b") as file:
            file.seek(-5, os.SEEK_END)
            byte = file.read(1)[0]
            file.seek(-5, os.SEEK_END)
            file.write(bytes([byte ^ 1]))
    elif how == "flip header":
        with path.open("r+b") as file:
            file.write(b"XXXX")
    elif how == "cut":
        os.truncate(path, path.stat().st_size - 1)
    elif how == "grown":
        with path.open("ab") as file:
            file.write(b"x")
    elif how == "missing":
        path.unlink()
    elif how == "link":
        path.rename(path.with_name("moved"))
        path.symlink_to("moved")
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "whole folder":
        shutil.rmtree(path.parent)
    return path


@pytest.mark.parametrize(
    ("how", "actual"),
    [
        ("flip", None),
        ("flip header", None),
        ("cut", "4251 bytes instead of 4252"),
        ("grown", "4253 bytes instead of 4252"),
        ("link", "not a regular file"),
        ("folder", "not a regular file"),
        ("missing", "missing"),
        ("whole folder", "missing"),
    ],
)
def test_damage_is_found_on_every_run(
    library: ModelLibrary, models: dict[str, ModelRecord], how: str, actual: str | None
) -> None:
    [file] = models["b"].files
    harm(library, models["b"], how)
    manifest = library.path / "manifests" / f"{models['b'].id}.json"
    before = json.loads(manifest.read_bytes())
    for _ in range(3):
        report = library.verify()
        assert (report.checked, report.ok, report.not_reached) == (3, 2, 0)
        found = report.missing if actual == "missing" else report.damaged
        assert len(report.missing) + len(report.damaged) == 1
        [damage] = found
        assert (damage.model_id, damage.path) == (models["b"].id, "b.gguf")
        assert damage.expected == file.digests.blake3
        if actual is None:
            assert len(damage.actual) == 64
            assert damage.actual != damage.expected
        else:
            size = file.size_bytes
            wanted = actual.replace("4252", str(size)).replace("4251", str(size - 1))
            assert damage.actual == wanted.replace("4253", str(size + 1))
        assert library.get("b").verified_at is None
        assert library.get("b").files == (file,)
        assert library.get("a").verified_at is not None
    after = json.loads(manifest.read_bytes())
    assert after.pop("damaged_at") is not None
    assert before.pop("damaged_at") is None
    assert after == before


def test_importing_again_mends_what_was_found_damaged(
    library: ModelLibrary, models: dict[str, ModelRecord], source_folder: Path
) -> None:
    harm(library, models["b"], "flip")
    assert len(library.verify().damaged) == 1
    assert library.get("b").damaged_at is not None
    again = library.import_paths([source_folder], mode=ImportMode.MOVE)
    assert sorted(statuses(again).values()) == ["duplicate", "duplicate", "imported original_kept"]
    assert library.get("b").damaged_at is None
    report = library.verify()
    assert (report.checked, report.ok) == (3, 3)


def test_garbled_and_missing_manifests_are_found_on_every_run(
    library: ModelLibrary, models: dict[str, ModelRecord]
) -> None:
    manifests = library.path / "manifests"
    garbled = manifests / "new"
    garbled.write_text("{")
    garbled.rename(manifests / f"{models['a'].id}.json")
    (manifests / f"{models['b'].id}.json").unlink()
    for _ in range(2):
        report = library.verify()
        assert (report.checked, report.ok) == (1, 1)
        assert [found.model_id for found in report.damaged] == [models["a"].id]
        assert [found.model_id for found in report.missing] == [models["b"].id]


def test_every_damaged_file_of_a_model_is_named(library: ModelLibrary, source_folder: Path) -> None:
    folder = write_diffusers_folder(source_folder / "pipe", seed=1)
    [model] = library.import_paths([folder]).models
    harm(library, model, "flip", 0)
    harm(library, model, "missing", 3)
    report = library.verify(["pipe"])
    assert (report.checked, report.ok) == (1, 0)
    assert [damage.path for damage in report.damaged] == [model.files[0].path]
    assert [damage.path for damage in report.missing] == [model.files[3].path]


def test_content_is_left_alone(library: ModelLibrary, models: dict[str, ModelRecord]) -> None:
    harm(library, models["a"], "flip")
    before = tree(library.path / "models")
    library.verify()
    assert tree(library.path / "models") == before


def test_restored_file_is_well_again(library: ModelLibrary, models: dict[str, ModelRecord]) -> None:
    harm(library, models["a"], "flip")
    assert library.verify().ok == 2
    harm(library, models["a"], "flip")
    assert library.verify().ok == 3


def test_named_models_only(library: ModelLibrary, models: dict[str, ModelRecord]) -> None:
    harm(library, models["c"], "flip")
    report = library.verify(["a", models["b"].id, "A"])
    assert (report.checked, report.ok, report.damaged) == (2, 2, ())
    assert library.get("c").verified_at is None
    with pytest.raises(ModelNotFoundError):
        library.verify(["a", "nowhere"])


def test_verified_at_is_recorded_and_the_oldest_come_first(
    library: ModelLibrary, models: dict[str, ModelRecord]
) -> None:
    assert models["a"].verified_at is None
    library.verify(["b"])
    library.verify(["a"])
    assert library.get("b").verified_at < library.get("a").verified_at  # type: ignore[operator]
    order: list[str] = []

    def watch(progress: Progress) -> None:
        if progress.current not in order:
            order.append(progress.current)

    library.verify(progress=watch)
    assert order == [models[name].id for name in ("c", "b", "a")]
    library.rebuild()
    assert all(model.verified_at for model in library.list_models().models)


def test_quick_looks_at_size_and_structure_and_records_nothing(
    library: ModelLibrary, models: dict[str, ModelRecord]
) -> None:
    harm(library, models["a"], "flip")
    before = tree(library.path, without=CATALOG)
    assert library.verify(quick=True).ok == 3
    assert tree(library.path, without=CATALOG) == before
    harm(library, models["b"], "flip header")
    harm(library, models["c"], "cut")
    report = library.verify(quick=True)
    assert {damage.model_id for damage in report.damaged} == {models["b"].id, models["c"].id}


class Clock:
    """Goes on by ten seconds whenever it is asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10.0
        return self.now


@pytest.fixture
def verifier(library: ModelLibrary) -> Iterator[Callable[..., Verifier]]:
    store = Store(library.path, lock_timeout_s=1)
    catalog = Catalog(library.path / "catalog" / "catalog.db", search_text=search_text)
    books = Bookkeeper(store, catalog)

    def make(max_duration_s: float | None, clock: Callable[[], float]) -> Verifier:
        return Verifier(
            books,
            quick=False,
            max_duration_s=max_duration_s,
            disks=IoManager(),
            on_progress=None,
            clock=clock,
        )

    yield make
    catalog.close()


def test_max_duration_ends_between_models_and_goes_on_next_time(
    library: ModelLibrary, models: dict[str, ModelRecord], verifier: Callable[..., Verifier]
) -> None:
    ids = [model.id for model in models.values()]
    report = verifier(45.0, Clock()).run(ids)
    assert 0 < report.checked < 3
    assert report.ok + report.not_reached == 3
    assert report.ok == len([m for m in library.list_models().models if m.verified_at])
    report = verifier(None, Clock()).run(ids)
    assert (report.ok, report.not_reached) == (3, 0)


def test_no_time_at_all(library: ModelLibrary, models: dict[str, ModelRecord]) -> None:
    report = library.verify(max_duration_s=0)
    assert (report.checked, report.ok, report.not_reached) == (0, 0, len(models))


def test_empty_library(library: ModelLibrary) -> None:
    report = library.verify()
    assert (report.checked, report.ok, report.damaged, report.missing) == (0, 0, (), ())


def test_edits_and_unreadable_neighbours_do_not_disturb(
    library: ModelLibrary, models: dict[str, ModelRecord]
) -> None:
    library.edit("a", EditChanges(note="n"))
    manifest = library.path / "manifests" / f"{models['b'].id}.json"

    def spoil(_: Progress) -> None:
        manifest.write_bytes(b"{")

    assert library.verify(progress=spoil).ok == 3
    assert library.get("a").note == "n"
    assert library.get("a").verified_at is not None


def test_busy_library_still_verifies(library: ModelLibrary, models: dict[str, ModelRecord]) -> None:
    quick = Settings(library.path, min_free_bytes=0, lock_timeout_s=0.05)
    with (
        Store(library.path, lock_timeout_s=1).lock(),
        ModelLibrary(library.path, settings=quick) as other,
    ):
        assert other.verify().ok == len(models)
    assert library.get("a").verified_at is None


def test_times_come_from_the_clock(library: ModelLibrary, source_folder: Path) -> None:
    now = datetime(2031, 5, 6, tzinfo=UTC)
    store = Store(library.path, lock_timeout_s=1)
    library.import_paths([write_gguf(source_folder / "a.gguf", seed=1)])
    catalog = Catalog(library.path / "catalog" / "catalog.db", search_text=search_text)
    books = Bookkeeper(store, catalog, now=lambda: now + timedelta(seconds=1))
    ids = [model.id for model in library.list_models().models]
    Verifier(books, quick=False, max_duration_s=None, disks=IoManager(), on_progress=None).run(ids)
    catalog.close()
    assert library.get("a").verified_at == "2031-05-06T00:00:01.000000Z"
