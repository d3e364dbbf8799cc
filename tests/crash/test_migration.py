"""An older catalog whose bringing up is killed: it is the old one or the new one, never between."""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest

from modelcellar.index import MIGRATIONS, Catalog, CatalogRow
from modelcellar.manifest import encode
from modelcellar.search import fts5
from modelcellar.search.index_text import search_text
from modelcellar.search.search_models import search_models
from tests.support.catalog_rows import made_manifest

MODELS = 8_000
KILLS = 12
OLD_VERSION = 2

TO_AN_OLDER_ONE = f"""
DROP TABLE models_fts; DROP TABLE models_names; DROP TABLE model_fields; DROP TABLE known_words;
{"".join(f"DROP TRIGGER {name};" for name in fts5.TRIGGERS)}
ALTER TABLE models DROP COLUMN kinds; ALTER TABLE models DROP COLUMN author;
PRAGMA user_version = {OLD_VERSION}; PRAGMA wal_checkpoint(TRUNCATE);
"""

BRING_UP = """
import sys
from pathlib import Path
from modelcellar.index import Catalog
from modelcellar.search.fts5 import migrate_to_fts5
from modelcellar.search.index_text import search_text
catalog = Catalog(Path(sys.argv[1]), search_text=search_text)
print("fields", flush=True)
migrate_to_fts5(catalog.connection)
"""


@pytest.fixture(scope="module")
def old_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of the version before there were fields and names to search."""
    path = tmp_path_factory.mktemp("old") / "catalog.db"
    catalog = Catalog(path, search_text=search_text)
    fts5.migrate_to_fts5(catalog.connection)
    with catalog.transaction():
        for number in range(MODELS):
            values = {"name": f"model_{number}", "type": "lora", "author": f"author{number}"}
            manifest = made_manifest(number, values, ("a.safetensors",))
            catalog.put([CatalogRow(manifest, encode(manifest), number)])
    catalog.connection.execute(TO_AN_OLDER_ONE)
    catalog.close()
    return path


def check(path: Path) -> int:
    """What is in the file belongs together; its version."""
    connection = apsw.Connection(str(path))
    try:
        version: int = connection.execute("PRAGMA user_version").get
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        assert version in (OLD_VERSION, len(MIGRATIONS))
        assert ("model_fields" in tables) == (version == len(MIGRATIONS))
        if version == len(MIGRATIONS):
            assert connection.execute("SELECT count(*) FROM model_fields").get == MODELS
        if "models_fts" in tables:
            assert tables.issuperset([*fts5.TABLES, *fts5.TRIGGERS])
            assert fts5.integrity_check(connection)
            assert not fts5.migrate_to_fts5(connection)
        return version
    finally:
        connection.close()


def test_killed_at_any_moment(old_catalog: Path, tmp_path: Path) -> None:
    chance = random.Random(7)
    path = tmp_path / "catalog.db"
    command = [sys.executable, "-c", BRING_UP, str(path)]
    shutil.copy(old_catalog, path)
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole_s = time.monotonic() - began
    versions = []
    for _ in range(KILLS):
        for left in tmp_path.iterdir():
            left.unlink()
        shutil.copy(old_catalog, path)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.2, 1.8) * whole_s)
        process.kill()
        process.wait()
        versions.append(check(path))
        with_all = Catalog(path, search_text=search_text)
        fts5.migrate_to_fts5(with_all.connection)
        assert search_models(with_all.connection, "author:author7 type:lora", limit=5).total == 1
        assert search_models(with_all.connection, "model_77 ", limit=5).total >= 1
        with_all.close()
    print(f"{whole_s:.1f} s; versions after the kills: {versions}")  # noqa: T201
    assert OLD_VERSION in versions, "no kill was early enough to say anything"
