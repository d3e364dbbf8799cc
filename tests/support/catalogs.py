"""The catalog of a library as a value."""

from pathlib import Path

import apsw

Rows = set[tuple[object, ...]]


def export(library: Path, *, but: str = "") -> dict[str, Rows]:
    """Every row of every table but the search index, without row ids and the column ``but``."""
    connection = apsw.Connection(str(library / "catalog" / "catalog.db"))
    try:
        columns = [
            str(name)
            for _, name, *_ in connection.execute("PRAGMA table_info(models)")
            if name not in {"rowid", but}
        ]
        files = (
            "SELECT m.id, f.path, f.size_bytes, f.blake3, f.sha256, f.format"
            " FROM files f JOIN models m ON m.rowid = f.model"
        )
        return {
            "models": set(connection.execute(f"SELECT {', '.join(columns)} FROM models")),
            "files": set(connection.execute(files)),
        }
    finally:
        connection.close()
