"""Models whose files nobody has read whole yet: in manifests, in the catalog, at the first reading.

They get into the library by hand here, as an adoption leaves them.
"""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import blake3
import pytest

from modelcellar import manifest as manifests
from modelcellar.errors import LibraryFormatError
from modelcellar.first_reading import FirstReading
from modelcellar.library import ModelLibrary
from modelcellar.manifest import Manifest
from modelcellar.records import Digests, FileRecord, ModelRecord
from modelcellar.reports import ImportStatus
from tests.support.models import write_safetensors

CLAIM = "ab" * 32


def forget_digests(library: ModelLibrary, model: ModelRecord, *, claim: str | None = None) -> None:
    """Make of an imported model one that was adopted: its manifest knows no digests."""
    path = library.path / "manifests" / f"{model.id}.json"
    found = manifests.decode(path.read_bytes(), str(path))
    files = tuple(
        replace(file, digests=None, tensor_sha256=None, claimed_sha256=claim, claimed_by="a tool")
        for file in found.files
    )
    new = path.with_suffix(".new")
    new.write_bytes(manifests.encode(replace(found, content_digest=None, files=files)))
    new.replace(path)


@pytest.fixture
def unread(library: ModelLibrary, source_folder: Path) -> ModelRecord:
    """A model without digests whose original is still in the source folder."""
    write_safetensors(source_folder / "a.safetensors", seed=1)
    (model,) = library.import_paths([source_folder]).models
    forget_digests(library, model)
    return library.get(model.id)


def test_digests_that_nobody_computed_are_null_and_stay_null(unread: ModelRecord) -> None:
    record = FileRecord("a.bin", 3, None, claimed_sha256=CLAIM, claimed_by="Ollama")
    found = Manifest("a-12345678", None, "2026-01-01T00:00:00Z", (record,))
    again = manifests.decode(manifests.encode(found), "here")
    assert (again.files, again.content_digest, again.is_read) == ((record,), None, False)
    assert not unread.is_read


@pytest.mark.parametrize("digests", [None, Digests("1" * 64, "2" * 64)])
def test_a_manifest_that_is_half_read_is_none(digests: Digests | None) -> None:
    content = "3" * 64 if digests is None else None
    found = Manifest("a-12345678", content, "2026", (FileRecord("a.bin", 3, digests),))
    with pytest.raises(LibraryFormatError):
        manifests.decode(manifests.encode(found), "here")


def test_an_unread_model_decides_nothing_about_an_import(
    library: ModelLibrary, unread: ModelRecord, source_folder: Path
) -> None:
    (result,) = library.import_paths([source_folder]).results
    assert result.status is ImportStatus.IMPORTED
    assert result.model_id != unread.id


def test_two_unread_models_are_no_duplicates_of_each_other(
    library: ModelLibrary, unread: ModelRecord, tmp_path: Path
) -> None:
    (other,) = library.import_paths([write_safetensors(tmp_path / "b.safetensors", seed=2)]).models
    forget_digests(library, other)
    assert library.search("is:duplicate").total == 0
    assert {model.id for model in library.search("is:unread").models} == {unread.id, other.id}


def test_verify_makes_the_digests_and_keeps_the_id(
    library: ModelLibrary, unread: ModelRecord, source_folder: Path
) -> None:
    report = library.verify()
    data = (source_folder / "a.safetensors").read_bytes()
    after = library.get(unread.id)
    assert report.first_read == (unread.id,)
    assert after.files[0].digests == Digests(
        blake3=blake3.blake3(data).hexdigest(), sha256=hashlib.sha256(data).hexdigest()
    )
    header = 8 + int.from_bytes(data[:8], "little")
    assert after.files[0].tensor_sha256 == hashlib.sha256(data[header:]).hexdigest()
    assert after.verified_at is not None
    assert library.verify().first_read == ()
    (again,) = library.import_paths([source_folder]).results
    assert (again.status, again.model_id) == (ImportStatus.DUPLICATE, unread.id)


def test_verify_quick_makes_no_digests(library: ModelLibrary, unread: ModelRecord) -> None:
    report = library.verify(quick=True)
    assert (report.ok, report.first_read) == (1, ())
    assert not library.get(unread.id).is_read


def test_twins_are_told_of_at_the_first_reading_and_both_stay(
    library: ModelLibrary, unread: ModelRecord, source_folder: Path
) -> None:
    (twin,) = library.import_paths([source_folder]).models
    assert library.verify().twins == ((unread.id, twin.id),)
    assert library.list_models().total == 2


def test_a_claim_is_right_or_told_of(library: ModelLibrary, source_folder: Path) -> None:
    data = write_safetensors(source_folder / "right.safetensors", seed=1).read_bytes()
    write_safetensors(source_folder / "wrong.safetensors", seed=2)
    models = {model.name: model for model in library.import_paths([source_folder]).models}
    forget_digests(library, models["right"], claim=hashlib.sha256(data).hexdigest())
    forget_digests(library, models["wrong"], claim=CLAIM)
    report = library.verify()
    assert [(one.model_id, one.expected) for one in report.false_claims] == [
        (models["wrong"].id, CLAIM)
    ]
    assert report.ok == 2
    after = library.get(models["wrong"].id).files[0]
    assert after.claimed_sha256 == CLAIM
    assert after.digests == models["wrong"].files[0].digests


def test_a_file_of_another_size_than_at_its_adoption_is_damage(
    library: ModelLibrary, unread: ModelRecord
) -> None:
    path = library.file_path(unread, unread.files[0])
    path.chmod(0o644)
    with path.open("ab") as file:
        file.write(b"more")
    report = library.verify()
    assert [one.expected for one in report.damaged] == ["not read yet"]
    assert not library.get(unread.id).is_read


def test_an_unread_model_is_removed_restored_and_rebuilt(
    library: ModelLibrary, unread: ModelRecord
) -> None:
    library.remove(unread.id)
    assert library.list_models().total == 0
    library.undo()
    library.rebuild()
    assert library.get(unread.id) == unread


def test_a_file_that_changes_while_it_is_read_gets_no_digests(
    unread: ModelRecord, library: ModelLibrary, tmp_path: Path
) -> None:
    path = tmp_path / "copy.safetensors"
    shutil.copy(library.file_path(unread, unread.files[0]), path)
    path.chmod(0o644)
    found = manifests.decode((library.path / "manifests" / f"{unread.id}.json").read_bytes(), "-")

    def write(_done: int, _total: int) -> None:
        path.write_bytes(b"0" * path.stat().st_size)

    with pytest.raises(OSError, match="changed"):
        FirstReading(found).read(path, unread.files[0], progress=write)
