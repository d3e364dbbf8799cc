"""A catalog that is damaged, foreign, newer, behind, or whose search index is not its own."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from modelcellar.doctor.findings import Status
from modelcellar.library import ModelLibrary
from tests.support.doctor import Doctor

IdOf = Callable[[str], str]


def catalog(doctor: Doctor) -> Path:
    return doctor.root / "catalog" / "catalog.db"


def change(doctor: Doctor, *statements: str) -> None:
    """Do something to the catalog behind the library's back."""
    connection = apsw.Connection(str(catalog(doctor)))
    for statement in statements:
        connection.execute(statement)
    connection.close()


def assert_mended(doctor: Doctor, checks: set[str]) -> None:
    """--fix makes it anew, once, and searches find all again."""
    assert {name for name, found in doctor.bad().items() if found} == checks
    repairs = doctor.mend()
    assert len(repairs) == 1
    assert (repairs[0].error, repairs[0].done) == (None, "made the catalog anew from 3 manifests")
    assert doctor.bad() == {}
    with ModelLibrary(doctor.root, settings=doctor.settings) as library:
        assert [library.search(word).total for word in ("one", "two", "pipe")] == [1, 1, 1]


def test_no_catalog(doctor: Doctor) -> None:
    catalog(doctor).unlink()
    assert "there is no catalog yet" in doctor.one("catalog").summary
    assert not catalog(doctor).exists()


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes(doctor: Doctor, seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(catalog(doctor).read_bytes())
    for _ in range(len(data) // 40):
        data[chance.randrange(100, len(data))] ^= 1 << chance.randrange(8)
    catalog(doctor).write_bytes(data)
    finding = doctor.one("catalog")
    assert finding.status is Status.ERROR
    assert "damaged" in finding.summary
    # Looking sets nothing aside.
    assert not catalog(doctor).with_name("catalog.db.damaged").exists()
    assert_mended(doctor, {"catalog"})


@pytest.mark.parametrize("data", [b"", b"no database at all" * 100])
def test_no_database(doctor: Doctor, data: bytes) -> None:
    catalog(doctor).write_bytes(data)
    assert "catalog" in doctor.bad()
    assert doctor.mend()
    assert doctor.bad() == {}


def test_a_catalog_of_a_newer_version(doctor: Doctor) -> None:
    change(doctor, "PRAGMA user_version = 99")
    finding = doctor.one("catalog")
    assert (finding.status, finding.mend) == (Status.ERROR, None)
    assert "newer" in finding.summary
    assert finding.fix


def test_a_database_of_another_program(doctor: Doctor) -> None:
    change(doctor, "PRAGMA application_id = 1")
    before = catalog(doctor).read_bytes()
    assert "another program" in doctor.one("catalog").summary
    assert doctor.mend() == []
    assert catalog(doctor).read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM models WHERE name = 'one'",
        "DELETE FROM model_fields WHERE name = 'one'",
        "DELETE FROM files WHERE path = CAST('one.gguf' AS BLOB)",
        "UPDATE models SET manifest = replace(manifest, 'one.gguf', 'two.gguf') WHERE name = 'one'",
    ],
)
def test_rows_that_differ_from_the_manifests(doctor: Doctor, id_of: IdOf, statement: str) -> None:
    change(doctor, statement)
    finding = doctor.one("catalog")
    assert (finding.status, finding.items) == (Status.WARNING, (id_of("one"),))
    assert_mended(doctor, {"catalog"})


def test_a_manifest_that_was_written_in_place(doctor: Doctor, id_of: IdOf) -> None:
    """Which no stamp tells: neither the folder nor the size of the file has changed."""
    path = doctor.root / "manifests" / f"{id_of('one')}.json"
    document = json.loads(path.read_bytes())
    old = document["added_at"]
    path.write_bytes(path.read_bytes().replace(old.encode(), old.replace("2", "1").encode()))
    assert doctor.one("catalog").items == (id_of("one"),)
    assert_mended(doctor, {"catalog"})


@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TRIGGER models_fts_update", "UPDATE models SET name = 'else' WHERE name = 'one'"],
        ["DROP TRIGGER models_fts_delete", "DROP TABLE models_fts"],
        ["UPDATE models_fts_data SET block = zeroblob(40) WHERE id > 100"],
        ["INSERT INTO models_fts(models_fts) VALUES ('delete-all')"],
    ],
)
def test_a_search_index_that_is_not_of_its_rows(doctor: Doctor, statements: list[str]) -> None:
    change(doctor, *statements)
    finding = doctor.one("search_index")
    assert finding.status is Status.ERROR
    assert "rebuild" in finding.fix
    assert_mended(doctor, {"search_index"})


def test_another_process_is_writing(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelcellar.index_file.BUSY_TIMEOUT_MS", 50)
    connection = apsw.Connection(str(catalog(doctor)))
    connection.execute("BEGIN IMMEDIATE")
    try:
        assert Status.SKIPPED in doctor.bad()["catalog"]
    finally:
        connection.close()
    assert doctor.bad() == {}
