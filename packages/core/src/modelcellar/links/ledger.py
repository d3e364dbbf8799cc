"""The ledger: which links are ours on this machine, which are being made, and what undo needs.

A link is written down before it is made and once more when it stands, so whatever a killed process
leaves in an application's folder is known. Rows are durable before anything is touched.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from modelcellar.config import state_folder
from modelcellar.database import Connection, Database, Schema, all_rows, decoding
from modelcellar.link_records import App, Change, Link, LinkKind
from modelcellar.links.app_list import read_apps, write_apps

__all__ = ["Ledger", "ledger_folder"]

APPLICATION_ID = 0x4D434C4C
"""``MCLL``."""

_COLUMNS = (
    "target, app, model_id, path, kind, source, sha256, size_bytes, device, inode, mtime_ns, "
    "made_at"
)
# Devices and inodes are texts: some file systems use all 64 bits, SQLite's numbers have a sign.
_LINK = """
    app TEXT NOT NULL,
    model_id TEXT NOT NULL,
    path BLOB NOT NULL,
    kind TEXT NOT NULL,
    source BLOB NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    device TEXT NOT NULL,
    inode TEXT NOT NULL,
    mtime_ns INTEGER NOT NULL,
    made_at TEXT NOT NULL
"""
_SCHEMA = Schema(
    "ledger of links",
    APPLICATION_ID,
    (
        f"""
CREATE TABLE links (target BLOB PRIMARY KEY, {_LINK}) STRICT, WITHOUT ROWID;
CREATE INDEX links_app ON links (app);
CREATE INDEX links_model ON links (model_id);
CREATE TABLE intents (target BLOB PRIMARY KEY, {_LINK}) STRICT, WITHOUT ROWID;
CREATE TABLE entries (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE folders (path BLOB PRIMARY KEY, app TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE changes (
    id INTEGER PRIMARY KEY,
    entry_id TEXT NOT NULL,
    made INTEGER NOT NULL,
    content BLOB,
    target BLOB NOT NULL, {_LINK}
) STRICT;
CREATE INDEX changes_entry ON changes (entry_id);
""",
    ),
)
_MARKS = ", ".join("?" * 12)
_PUT = "INSERT OR REPLACE INTO {} (" + _COLUMNS + f") VALUES ({_MARKS})"
_PUT_CHANGE = (
    f"INSERT INTO changes (entry_id, made, content, {_COLUMNS}) VALUES (?, ?, ?, {_MARKS})"
)


def ledger_folder(library_id: str) -> Path:
    """Where this machine keeps what it knows of the links of a library."""
    return state_folder() / "links" / library_id


class Ledger:
    """The links of one library on this machine: ``links.db`` and ``apps.json`` in ``folder``.

    Raises:
        LibraryFormatError: a file was made by a newer version or another program.
        LibraryBusyError: another process did not let go of the database in time.
        OSError: the disk is full or fails, or the folder cannot be written to.
    """

    def __init__(self, folder: Path, *, lock_timeout_s: float = 10.0) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._apps_path = folder / "apps.json"
        self._file = Database(
            folder / "links.db", _SCHEMA, lock_timeout_s=lock_timeout_s, durable=True
        )

    def close(self) -> None:
        """Close the database; the files stay."""
        self._file.close()

    def apps(self) -> tuple[App, ...]:
        """The applications that are given links, by name."""
        return read_apps(self._apps_path)

    def add_app(self, app: App) -> None:
        """Put an application on the list, in the place of one of the same name."""
        others = [one for one in self.apps() if one.name != app.name]
        write_apps(self._apps_path, sorted([*others, app], key=lambda one: one.name))

    def remove_app(self, name: str) -> None:
        """Take an application off the list. Its links stay in the ledger."""
        write_apps(self._apps_path, [one for one in self.apps() if one.name != name])

    def links(self, app: str | None = None, model_id: str | None = None) -> list[Link]:
        """The links that are ours, in order of their targets; of one application or model."""
        return self._links("links", app, model_id)

    def intents(self) -> list[Link]:
        """Links that a process was about to make and did not say that it did."""
        return self._links("intents", None, None)

    def intend(
        self,
        links: Iterable[Link],
        *,
        gone: Iterable[tuple[Link, bytes | None]] = (),
        entry_id: str | None = None,
        folders: Iterable[tuple[Path, str]] = (),
    ) -> None:
        """Write down what is about to be made and taken away, durably, before it is.

        Args:
            links: to be made; their device, inode and mtime are not known yet.
            gone: ours, to be taken away or replaced, with the content of what we generated.
            entry_id: the journal entry that can be taken back; None keeps nothing for undo.
            folders: to be made, each with the application that it is made for.
        """
        made = [_row(link) for link in links]
        taken = [(_row(link), content) for link, content in gone]
        ways = [(os.fsencode(path), app) for path, app in folders]

        def work(connection: Connection) -> None:
            connection.executemany(_PUT.format("intents"), made)
            connection.executemany("INSERT OR IGNORE INTO folders VALUES (?, ?)", ways)
            if entry_id is not None:
                rows = [(entry_id, 0, content, *row) for row, content in taken]
                rows += [(entry_id, 1, None, *row) for row in made]
                connection.executemany(_PUT_CHANGE, rows)

        self._file.write(work)

    def made(self, links: Iterable[Link]) -> None:
        """These stand now as they are given here."""
        rows = [_row(link) for link in links]

        def work(connection: Connection) -> None:
            connection.executemany(_PUT.format("links"), rows)
            connection.executemany("DELETE FROM intents WHERE target = ?", [(r[0],) for r in rows])

        if rows:
            self._file.write(work)

    def gone(self, targets: Iterable[Path], *, intents_only: bool = False) -> None:
        """Nothing of ours stands at these places any more, or nothing came of an intent."""
        rows = [(os.fsencode(target),) for target in targets]

        def work(connection: Connection) -> None:
            connection.executemany("DELETE FROM intents WHERE target = ?", rows)
            if not intents_only:
                connection.executemany("DELETE FROM links WHERE target = ?", rows)

        if rows:
            self._file.write(work)

    def move(self, app: str, links: Sequence[Link], folders: Sequence[Path]) -> None:
        """Put these in the place of all links and folders of an application, at once."""
        rows = [_row(link) for link in links]
        ways = [(os.fsencode(path), app) for path in folders]

        def work(connection: Connection) -> None:
            connection.execute("DELETE FROM links WHERE app = ?", (app,))
            connection.execute("DELETE FROM folders WHERE app = ?", (app,))
            connection.executemany(_PUT.format("links"), rows)
            connection.executemany("INSERT OR IGNORE INTO folders VALUES (?, ?)", ways)

        self._file.write(work)

    def made_folders(self, app: str) -> list[Path]:
        """The folders that were made for an application, each before those inside it."""
        query = "SELECT path FROM folders WHERE app = ? ORDER BY path"
        rows = self._file.read(lambda connection: all_rows(connection, query, (app,)))
        return [Path(os.fsdecode(path)) for (path,) in rows]

    def forget_folders(self, folders: Iterable[Path]) -> None:
        """These folders are gone, or no longer ours to remove."""
        rows = [(os.fsencode(path),) for path in folders]
        if rows:
            query = "DELETE FROM folders WHERE path = ?"
            self._file.write(lambda connection: connection.executemany(query, rows))

    def note_entry(self, entry_id: str) -> None:
        """Remember that this entry of the journal is about this machine."""
        query = "INSERT OR IGNORE INTO entries VALUES (?)"
        self._file.write(lambda connection: connection.execute(query, (entry_id,)))

    def knows_entry(self, entry_id: str) -> bool:
        """Whether the entry is about this machine: a library may be used on several."""
        query = "SELECT 1 FROM entries WHERE id = ?"
        return bool(self._file.read(lambda connection: all_rows(connection, query, (entry_id,))))

    def changes(self, entry_id: str) -> list[Change]:
        """What a journal entry was about to make and take away, in that order."""
        query = f"SELECT made, content, {_COLUMNS} FROM changes WHERE entry_id = ? ORDER BY id"

        def find(connection: Connection) -> list[Change]:
            with decoding():
                rows = all_rows(connection, query, (entry_id,))
                return [Change(bool(made), _link(row), content) for made, content, *row in rows]

        return self._file.read(find)

    def forget_changes(self, entry_id: str) -> None:
        """The entry has been taken back."""

        def work(connection: Connection) -> None:
            connection.execute("DELETE FROM changes WHERE entry_id = ?", (entry_id,))
            connection.execute("DELETE FROM entries WHERE id = ?", (entry_id,))

        self._file.write(work)

    def _links(self, table: str, app: str | None, model_id: str | None) -> list[Link]:
        wanted = {"app": app, "model_id": model_id}
        given = {column: text for column, text in wanted.items() if text is not None}
        where = "".join(f" AND {column} = ?" for column in given)
        query = f"SELECT {_COLUMNS} FROM {table} WHERE 1{where} ORDER BY target"

        def find(connection: Connection) -> list[Link]:
            with decoding():
                return [_link(row) for row in all_rows(connection, query, tuple(given.values()))]

        return self._file.read(find)


def _row(link: Link) -> tuple[Any, ...]:
    return (
        os.fsencode(link.target),
        link.app,
        link.model_id,
        os.fsencode(link.path),
        link.kind.value,
        os.fsencode(link.source),
        link.sha256,
        link.size_bytes,
        str(link.device),
        str(link.inode),
        link.mtime_ns,
        link.made_at,
    )


def _link(row: Sequence[Any]) -> Link:
    target, app, model_id, path, kind, source, sha256, size, device, inode, mtime_ns, at = row
    return Link(
        target=Path(os.fsdecode(target)),
        app=app,
        model_id=model_id,
        path=os.fsdecode(path),
        kind=LinkKind(kind),
        source=os.fsdecode(source),
        sha256=sha256,
        size_bytes=size,
        device=int(device),
        inode=int(inode),
        mtime_ns=mtime_ns,
        made_at=at,
    )
