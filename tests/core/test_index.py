"""The catalog file: its schema, its migrations, its queries, and files that are not ours."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from modelcellar import manifest as manifests
from modelcellar.errors import LibraryFormatError
from modelcellar.index import (
    APPLICATION_ID,
    MIGRATIONS,
    Catalog,
    CatalogRow,
    Filter,
    Migration,
)
from modelcellar.index_file import DAMAGED
from modelcellar.manifest import Fact, Manifest
from modelcellar.records import Digests, FileFormat, FileRecord, ModelType
from modelcellar.search.index_text import search_text

AT = "2030-01-02T03:04:05.000006Z"


def digest(number: int) -> str:
    return random.Random(number).randbytes(32).hex()


def row(
    number: int,
    *,
    name: str | None = None,
    files: tuple[FileRecord, ...] | None = None,
    size_bytes: int = 100,
    model_type: ModelType = ModelType.UNKNOWN,
    verified_at: str | None = None,
) -> CatalogRow:
    """The row of a made-up model."""
    content = digest(number)
    if files is None:
        digests = Digests(blake3=digest(-number), sha256=content)
        files = (FileRecord("a.gguf", size_bytes, digests, FileFormat.GGUF),)
    facts = {
        "name": Fact(name or f"Name {number}", "file name", AT),
        "type": Fact(model_type.value, "file name", AT),
        "format": Fact("gguf", "file content", AT),
    }
    manifest = Manifest(
        id=f"model-{content[:8]}",
        content_digest=content,
        added_at=f"2030-01-{number:02}T00:00:00.000000Z",
        files=files,
        facts=facts,
        verified_at=verified_at,
    )
    return CatalogRow(manifest, manifests.encode(manifest), number)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
def open_catalog(path: Path) -> Iterator[Callable[..., Catalog]]:
    opened = []

    def open_it(migrations: tuple[Migration, ...] = MIGRATIONS) -> Catalog:
        opened.append(Catalog(path, search_text=search_text, migrations=migrations))
        return opened[-1]

    yield open_it
    for catalog in opened:
        catalog.close()


@pytest.fixture
def catalog(open_catalog: Callable[..., Catalog]) -> Catalog:
    return open_catalog()


def put(catalog: Catalog, *rows: CatalogRow) -> list[str]:
    with catalog.transaction():
        catalog.put(rows)
    return [found.manifest.id for found in rows]


def pragma(path: Path, name: str) -> object:
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(f"PRAGMA {name}").get
    finally:
        connection.close()


def backups(path: Path) -> list[Path]:
    return sorted(path.parent.glob("catalog.db.before-*"))


def test_new_file_is_marked_as_ours(catalog: Catalog, path: Path) -> None:
    assert pragma(path, "application_id") == APPLICATION_ID == 0x4D434C52
    assert pragma(path, "user_version") == len(MIGRATIONS)
    assert pragma(path, "journal_mode") == "wal"
    assert catalog.connection.execute("PRAGMA foreign_keys").get == 1
    assert backups(path) == []


def test_sqlite_has_no_wal_race() -> None:
    assert tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) >= (3, 51, 3)


def test_put_again_replaces_the_row_and_its_files(catalog: Catalog) -> None:
    put(catalog, row(1))
    rowid = catalog.connection.execute("SELECT rowid FROM models").get
    changed = row(1, name="Other", size_bytes=7)
    put(catalog, changed)
    assert catalog.connection.execute("SELECT rowid, name FROM models").get == (rowid, "Other")
    assert catalog.connection.execute("SELECT count(*), sum(size_bytes) FROM files").get == (1, 7)
    assert catalog.by_id(changed.manifest.id) == changed.manifest


def test_deleting_a_model_deletes_its_files(catalog: Catalog) -> None:
    ids = put(catalog, row(1), row(2))
    with catalog.transaction():
        catalog.delete(ids[:1])
    assert catalog.connection.execute("SELECT count(*) FROM files").get == 1
    assert catalog.by_id(ids[0]) is None
    with catalog.transaction():
        catalog.clear()
    assert catalog.connection.execute("SELECT count(*) FROM files").get == 0


def test_failing_transaction_leaves_nothing(catalog: Catalog) -> None:
    def rows() -> Iterator[CatalogRow]:
        yield row(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), catalog.transaction():
        catalog.put(rows())
    assert catalog.file_stamps() == {}
    put(catalog, row(1))


def test_every_stored_path_comes_back(catalog: Catalog) -> None:
    name = "caf\udce9/模型 \udcff.bin"
    file = FileRecord(name, 100, Digests(digest(5), digest(6)))
    [model_id] = put(catalog, row(1, files=(file,)))
    found = catalog.by_id(model_id)
    assert found is not None
    assert found.files[0].path == name
    assert catalog.files_of_size(100) == [(model_id, name)]


class TestResolve:
    def test_id_prefix_name_and_digest(self, catalog: Catalog) -> None:
        one, two = put(catalog, row(1, name="Alpha"), row(2, name="Beta Model"))
        for text in (one, one[:10], "Alpha", "ALPHA", digest(1), digest(-1), digest(1).upper()):
            assert catalog.resolve(text) == [one], text
        for text in ("beta model", digest(2)[:6], digest(-2)[:6], digest(-2)[:40].upper()):
            assert catalog.resolve(text) == [two], text

    def test_nothing_fits(self, catalog: Catalog) -> None:
        put(catalog, row(1, name="Alpha"))
        for text in ("Alph", "x", digest(1)[:5], digest(2), "%", "_", "*", "a\0b", "\udcff", "\t"):
            assert catalog.resolve(text) == [], text

    def test_no_text_names_no_model(self, catalog: Catalog) -> None:
        put(catalog, row(1))
        assert catalog.resolve("") == []

    def test_several_fit(self, catalog: Catalog) -> None:
        ids = put(catalog, row(1, name="Same"), row(2, name="same"), row(3))
        assert sorted(catalog.resolve("SAME")) == sorted(ids[:2])
        assert sorted(catalog.resolve("model-")) == sorted(ids)

    def test_exact_id_wins_over_names_and_longer_ids(self, catalog: Catalog) -> None:
        [one] = put(catalog, row(1))
        put(catalog, row(2, name=one))
        assert catalog.resolve(one) == [one]

    def test_one_model_with_equal_files_is_one_answer(self, catalog: Catalog) -> None:
        digests = Digests(digest(5), digest(6))
        files = (FileRecord("a.bin", 100, digests), FileRecord("b.bin", 100, digests))
        [model_id] = put(catalog, row(1, files=files))
        for text in (digest(5), digest(6), digest(5)[:8], digest(6)[:8]):
            assert catalog.resolve(text) == [model_id], text


class TestPages:
    def ids(self, catalog: Catalog, which: Filter, limit: int | None = None) -> list[str]:
        return [found.id for found in catalog.page(which, limit=limit, offset=0)[1]]

    def test_order(self, catalog: Catalog) -> None:
        one, two, three = put(
            catalog,
            row(1, name="b", size_bytes=30),
            row(2, name="C", size_bytes=10),
            row(3, name="a", size_bytes=20),
        )
        assert self.ids(catalog, Filter(sort="name")) == [three, one, two]
        assert self.ids(catalog, Filter(sort="-name")) == [two, one, three]
        assert self.ids(catalog, Filter(sort="size")) == [two, three, one]
        assert self.ids(catalog, Filter(sort="-size")) == [one, three, two]
        assert self.ids(catalog, Filter(sort="added")) == [one, two, three]
        assert self.ids(catalog, Filter(sort="-added")) == [three, two, one]

    def test_equal_keys_have_one_order(self, catalog: Catalog) -> None:
        ids = put(catalog, *(row(number, name="x") for number in range(1, 9)))
        pages = [catalog.page(Filter(), limit=3, offset=offset) for offset in (0, 3, 6, 9)]
        assert {total for total, _ in pages} == {8}
        assert [found.id for _, page in pages for found in page] == sorted(ids)

    def test_filter(self, catalog: Catalog) -> None:
        one, two = put(catalog, row(1, model_type=ModelType.LORA), row(2))
        assert self.ids(catalog, Filter(model_type="lora")) == [one]
        assert self.ids(catalog, Filter(model_type="unknown", file_format="gguf")) == [two]
        assert catalog.page(Filter(file_format="onnx"), limit=None, offset=0) == (0, [])

    def test_oldest_verified(self, catalog: Catalog) -> None:
        new, never, old = put(
            catalog,
            row(1, verified_at="2031-01-01T00:00:00.000000Z"),
            row(2),
            row(3, verified_at="2030-01-01T00:00:00.000000Z"),
        )
        assert catalog.oldest_verified() == [never, old, new]


def _add_column(connection: apsw.Connection) -> None:
    connection.execute("ALTER TABLE models ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'")


def _fail_half_way(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE extra (x)")
    connection.execute("DELETE FROM models")
    raise OSError(28, "No space left on device")


class TestMigrations:
    def test_next_step_keeps_the_rows_and_a_backup(
        self, open_catalog: Callable[..., Catalog], path: Path
    ) -> None:
        old = open_catalog()
        [model_id] = put(old, row(1))
        old.close()
        new = open_catalog((*MIGRATIONS, _add_column))
        assert new.connection.execute("SELECT id, colour FROM models").get == (model_id, "red")
        assert pragma(path, "user_version") == len(MIGRATIONS) + 1
        [backup] = backups(path)
        assert pragma(backup, "user_version") == len(MIGRATIONS)
        assert pragma(backup, "integrity_check") == "ok"
        connection = apsw.Connection(str(backup))
        assert connection.execute("SELECT id FROM models").get == model_id
        connection.close()

    def test_failing_step_rolls_everything_back(
        self, open_catalog: Callable[..., Catalog], path: Path
    ) -> None:
        old = open_catalog()
        [model_id] = put(old, row(1))
        old.close()
        with pytest.raises(OSError, match="No space left"):
            open_catalog((*MIGRATIONS, _add_column, _fail_half_way))
        assert len(backups(path)) == 1
        again = open_catalog()
        assert catalog_tables(again) >= {"models", "files", "meta"}
        assert "extra" not in catalog_tables(again)
        assert pragma(path, "user_version") == len(MIGRATIONS)
        found = again.by_id(model_id)
        assert found == row(1).manifest
        columns = {name for _, name, *_ in again.connection.execute("PRAGMA table_info(models)")}
        assert "colour" not in columns

    def test_failing_first_step_leaves_an_empty_file(
        self, open_catalog: Callable[..., Catalog], path: Path
    ) -> None:
        with pytest.raises(OSError, match="No space left"):
            open_catalog((*MIGRATIONS, _fail_half_way))
        assert pragma(path, "user_version") == 0
        assert open_catalog().file_stamps() == {}

    def test_few_backups_are_kept(self, open_catalog: Callable[..., Catalog], path: Path) -> None:
        open_catalog().close()
        for _ in range(5):
            with pytest.raises(OSError, match="No space left"):
                open_catalog((*MIGRATIONS, _fail_half_way))
        assert len(backups(path)) == 3

    def test_newest_backups_are_kept(
        self, open_catalog: Callable[..., Catalog], path: Path
    ) -> None:
        steps: tuple[Migration, ...] = MIGRATIONS
        for number in range(12):
            open_catalog(steps).close()
            steps = (*steps, _table_maker(f"extra_{number}"))
        kept = {int(backup.name.split("-")[1]) for backup in backups(path)}
        newest = len(MIGRATIONS) + 11
        assert kept == {newest - 2, newest - 1, newest}


def _table_maker(name: str) -> Migration:
    def step(connection: apsw.Connection) -> None:
        connection.execute(f"CREATE TABLE {name} (x)")

    return step


def catalog_tables(catalog: Catalog) -> set[object]:
    rows = catalog.connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    return {name for (name,) in rows}


class TestFilesThatAreNotOurs:
    def test_database_of_another_program_is_left_as_it_was(
        self, open_catalog: Callable[..., Catalog], path: Path
    ) -> None:
        connection = apsw.Connection(str(path))
        connection.execute("CREATE TABLE bookmarks (url TEXT); PRAGMA user_version = 1")
        connection.close()
        before = path.read_bytes()
        with pytest.raises(LibraryFormatError, match="another program") as error:
            open_catalog()
        assert str(path) in error.value.message
        assert error.value.hint
        assert path.read_bytes() == before

    def test_newer_catalog_is_left_as_it_was(
        self, open_catalog: Callable[..., Catalog], path: Path
    ) -> None:
        open_catalog((*MIGRATIONS, _add_column)).close()
        before = path.read_bytes()
        with pytest.raises(LibraryFormatError, match="newer modelcellar") as error:
            open_catalog()
        assert error.value.hint
        assert path.read_bytes() == before
        assert backups(path) == []

    @pytest.mark.parametrize("data", [b"this is no database" * 100, b"\0" * 8192, b"\xff" * 4096])
    def test_garbage(self, open_catalog: Callable[..., Catalog], path: Path, data: bytes) -> None:
        path.write_bytes(data)
        with pytest.raises(DAMAGED):
            open_catalog()

    def test_empty_file_becomes_a_catalog(
        self, open_catalog: Callable[..., Catalog], path: Path
    ) -> None:
        path.touch()
        assert open_catalog().file_stamps() == {}


def test_row_whose_manifest_is_garbled_counts_as_damage(catalog: Catalog) -> None:
    [model_id] = put(catalog, row(1))
    catalog.connection.execute("UPDATE models SET manifest = x'7b7d'")
    with pytest.raises(DAMAGED):
        catalog.by_id(model_id)
