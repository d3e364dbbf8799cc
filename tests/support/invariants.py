"""What must hold for a library after any fault.

Told by other means than the library's own: plain JSON, ``hashlib``, the ``blake3`` package and
SQLite's own look at the catalog.
"""

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import blake3

from modelcellar import ModelLibrary
from modelcellar.reports import ImportStatus
from modelcellar.search import fts5
from tests.support.models import write_lfs_pointer, write_safetensors
from tests.support.worker import settings

Content = frozenset[str]
"""The SHA-256 digests of a model's files, which tell in these tests whether it is the same."""

KNOWN_NAMES = {
    "README.txt", "library.json", ".lock", "models", "manifests", "journal", "trash", "staging",
    "catalog",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Batch:
    """Models outside the library: what to import, every file as it was, and what is to come in."""

    folder: Path
    files: Mapping[Path, str]
    models: frozenset[Content]

    @classmethod
    def of(cls, folder: Path) -> "Batch":
        """What lies in a folder that `make_batch` has made, and whatever was added to it."""
        files = {path: sha256(path) for path in files_below(folder)}
        text = folder / "text"
        together = frozenset(files[path] for path in files if path.is_relative_to(text))
        alone = {
            frozenset([digest])
            for path, digest in files.items()
            if path.suffix == ".safetensors" and path.parent == folder and path.stem != "pointer"
        }
        return cls(folder, files, frozenset(alone | {together}))


def make_batch(folder: Path, *, big_bytes: int, small: int = 4, seed: int = 0) -> Batch:
    """A big file, small ones, two of them equal, a folder model, a refused and a skipped file."""
    write_safetensors(folder / "big.safetensors", seed=seed, size_bytes=big_bytes)
    for number in range(small):
        name = f"small-{number}.safetensors"
        write_safetensors(folder / name, seed=seed + 1 + number, size_bytes=3000 + 4 * number)
    shutil.copyfile(folder / "small-0.safetensors", folder / "twin.safetensors")
    for number, name in enumerate(
        ("text/model.safetensors", "text/original/consolidated.safetensors")
    ):
        write_safetensors(folder / name, seed=seed + 1000 + number, size_bytes=2000)
    (folder / "text" / "config.json").write_text(f'{{"model_type": "made", "seed": {seed}}}\n')
    write_lfs_pointer(folder / "pointer.safetensors")
    (folder / "notes.txt").write_text("not a model\n")
    return Batch.of(folder)


def files_below(folder: Path) -> list[Path]:
    """Every file in the tree, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sha256(path: Path) -> str:
    """The digest by ``hashlib``."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_library(root: Path, batches: Sequence[Batch], *, moved: bool = False) -> None:
    """Everything that must hold once a change to the library at ``root`` was cut short.

    The library holds no models but those of ``batches`` and has no other user. The check ends by
    importing all of them again, which must finish what was begun.

    Args:
        moved: originals may be gone whose content is in the library.
    """
    check_originals(root, batches, moved=moved)
    found = check_files(root)
    check_catalog(root)
    wanted = frozenset().union(*(batch.models for batch in batches))
    assert found.values() <= wanted, "a model that nobody imported"
    check_next_import(root, batches, wanted, moved=moved)


def check_originals(root: Path, batches: Sequence[Batch], *, moved: bool = False) -> None:
    """Every original is there, byte for byte, unless it was moved and is published."""
    gone = set()
    for path, digest in ((p, d) for batch in batches for p, d in batch.files.items()):
        if path.exists():
            assert sha256(path) == digest, f"{path} is not what it was"
        else:
            assert moved, f"{path} is gone"
            gone.add(digest)
    published = check_files(root).values() if gone else frozenset()
    assert gone <= frozenset().union(*published), "an original is gone and not in the library"


class Published(dict[str, Content]):
    """Model id -> content of every model with a manifest."""

    def values(self) -> frozenset[Content]:  # type: ignore[override]
        return frozenset(super().values())


def check_files(root: Path) -> Published:
    """Every manifest is whole and its files are exactly there, with their sizes and digests."""
    assert {path.name for path in root.iterdir()} <= KNOWN_NAMES, "something foreign in the library"
    for path in (root / "journal").iterdir():
        assert json.loads(path.read_bytes())["id"] == path.stem
    published = Published()
    for path in (root / "manifests").iterdir():
        document = json.loads(path.read_bytes())
        assert document["id"] == path.stem
        content = root / "models" / path.stem
        expected = {
            file["path"]: (file["size_bytes"], file["blake3"], file["sha256"])
            for file in document["files"]
        }
        assert _files_in(content) == expected, f"{content} is not what its manifest says"
        published[path.stem] = frozenset(found[2] for found in expected.values())
    twice = [content for content, count in Counter(dict.values(published)).items() if count > 1]
    assert not twice, "one content under two manifests"
    return published


def _files_in(folder: Path) -> dict[str, tuple[int, str, str]]:
    found = {}
    for path in files_below(folder):
        data = path.read_bytes()
        digests = blake3.blake3(data).hexdigest(), hashlib.sha256(data).hexdigest()
        found[path.relative_to(folder).as_posix()] = (len(data), *digests)
    return found


def check_catalog(root: Path) -> None:
    """The catalog never promises more than is there, and once opened shows exactly that."""
    published = set(check_files(root))
    if (root / "catalog" / "catalog.db").exists():
        rows = {row[0] for row in export(root, "models", "id")}
        assert rows <= published, f"catalog rows without files: {rows - published}"
    with ModelLibrary(root, settings=settings(root)) as library:
        listed = [model.id for model in library.list_models().models]
        assert sorted(listed) == sorted(published), "the list is not what the manifests say"
    assert whole_export(root) == _export_from_scratch(root)


def whole_export(root: Path) -> list[list[tuple[Any, ...]]]:
    """Every row of the catalog but for row numbers, which tell only the order of arrival."""
    return [
        export(root, "models", ", ".join(_columns(root, "models", but="rowid"))),
        export(
            root,
            "files JOIN models ON models.rowid = files.model",
            "models.id, "
            + ", ".join(f"files.{name}" for name in _columns(root, "files", but="model")),
        ),
        export(
            root,
            "model_fields v JOIN models ON models.rowid = v.model",
            "models.id, "
            + ", ".join(f"v.{name}" for name in _columns(root, "model_fields", but="model")),
        ),
    ]


def export(root: Path, tables: str, columns: str) -> list[tuple[Any, ...]]:
    """Sorted rows, after SQLite found nothing wrong with the file or its search index."""
    connection = apsw.Connection(str(root / "catalog" / "catalog.db"))
    try:
        assert connection.pragma("integrity_check") == "ok"
        schema = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if schema.issuperset(fts5.TABLES):
            assert fts5.integrity_check(connection)
        if "models" not in schema:
            return []
        return sorted(connection.execute(f"SELECT {columns} FROM {tables}"), key=repr)
    finally:
        connection.close()


def _columns(root: Path, table: str, *, but: str) -> Iterable[str]:
    connection = apsw.Connection(str(root / "catalog" / "catalog.db"))
    try:
        found = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        return [name for (name,) in found if name != but]
    finally:
        connection.close()


def _export_from_scratch(root: Path) -> list[list[tuple[Any, ...]]]:
    """What a catalog looks like that is made only now, from nothing but the manifests."""
    with tempfile.TemporaryDirectory(dir=root.parent) as folder:
        copy = Path(folder)
        for path in root.iterdir():
            if path.name == "library.json":
                shutil.copy2(path, copy)
            elif path.is_dir():
                (copy / path.name).mkdir()
        for path in (root / "manifests").iterdir():
            shutil.copy2(path, copy / "manifests")
        with ModelLibrary(copy, settings=settings(copy)) as library:
            library.list_models()
        return whole_export(copy)


def check_next_import(
    root: Path, batches: Sequence[Batch], wanted: frozenset[Content], *, moved: bool = False
) -> None:
    """The next import tidies, brings in what is missing, and the one after finds nothing to do.

    Args:
        moved: what was left of a folder whose originals were just being deleted may be a model.
    """
    folders = [batch.folder for batch in batches]
    with ModelLibrary(root, settings=settings(root)) as library:
        report = library.import_paths(folders)
        assert list((root / "staging").iterdir()) == [], "staging was not tidied"
        bad = [r for r in report.results if r.status is ImportStatus.FAILED]
        assert not bad, bad
    published = check_files(root)
    assert wanted <= published.values(), "not everything came in"
    for content in published.values() - wanted:
        assert moved, "more than everything came in"
        assert any(content < whole for whole in wanted), "more than everything came in"
    assert {path.name for path in (root / "models").iterdir()} == set(published)
    check_catalog(root)
    with ModelLibrary(root, settings=settings(root)) as library:
        again = library.import_paths(folders)
        others = {ImportStatus.DUPLICATE, ImportStatus.REFUSED}
        assert {result.status for result in again.results} <= others, again.results
        assert again.bytes_written == 0
        before = whole_export(root)
        rebuilt = library.rebuild()
        assert (rebuilt.models, rebuilt.problems) == (len(published), ())
    assert whole_export(root) == before
