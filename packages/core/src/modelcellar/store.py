"""The folders of one library on disk, and every durable step that changes them.

A change in progress has a folder of its own in ``staging/``, locked while its process lives. A
folder whose lock is free belongs to a process that died; the next change finishes or tidies it.
Order of an import: content, manifest (the commit point), catalog. Removal goes the other way.
"""

import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from modelcellar import journal, naming
from modelcellar import manifest as manifests
from modelcellar.errors import LibraryBusyError, LibraryFormatError
from modelcellar.index import CatalogRow
from modelcellar.io import hashing
from modelcellar.io.locking import try_lock
from modelcellar.io.trees import chmod, remove_tree, seal, tree_bytes, write_file
from modelcellar.layout import DOWNLOADS, make_folders, read_library_id
from modelcellar.manifest import Manifest
from modelcellar.records import JournalEntry

__all__ = ["Staging", "Store"]


class Staging:
    """The private folder of one change in progress."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0
        self._kinds: set[str] = set()

    def new_folder(self) -> Path:
        """A new empty folder for the content of one model."""
        self._count += 1
        folder = self.path / "content" / str(self._count)
        folder.mkdir(parents=True)
        return folder

    def write(self, kind: str, name: str, data: bytes) -> Path:
        """Write a small file ``<kind>/<name>`` to be published; returns where it is staged."""
        folder = self.path / kind
        if kind not in self._kinds:
            folder.mkdir(exist_ok=True)
            self._kinds.add(kind)
        return write_file(folder / name, data)


class Store:
    """One library's folders. Methods that change them are called under :meth:`lock`.

    Raises:
        LibraryNotFoundError: there is no library at ``root``.
        LibraryFormatError: it was made by a newer version.
    """

    def __init__(self, root: Path, *, lock_timeout_s: float) -> None:
        self.root = root
        self._lock_timeout_s = lock_timeout_s
        self.library_id = read_library_id(root)
        if self.is_writable():
            make_folders(root)

    def content_path(self, model_id: str) -> Path:
        """The folder of a model's files."""
        return self.root / "models" / model_id

    def manifest_path(self, model_id: str) -> Path:
        """The manifest file of a model."""
        return self.root / "manifests" / f"{model_id}.json"

    def trash_path(self, entry_id: str, model_id: str) -> Path:
        """Where the journal entry ``entry_id`` put a removed model's files."""
        return self.root / "trash" / entry_id / model_id

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the library against other processes that change it.

        Raises:
            LibraryBusyError: another process did not let go within the time-out.
            LibraryMovedError, LibraryNotFoundError: it was moved since it was opened.
        """
        if not self.root.is_dir():
            # It was moved, or its disk is away; a lock would make the folder anew.
            read_library_id(self.root)
        held = try_lock(self.root / ".lock", self._lock_timeout_s)
        if held is None:
            raise LibraryBusyError(
                f"another process has been changing {self.root} for {self._lock_timeout_s:g} s",
                "Wait for it and run the command again.",
            )
        try:
            if not (self.root / "library.json").exists():
                # What is changed here now would be seen by nobody.
                read_library_id(self.root)
            yield
        finally:
            held.release()

    @contextmanager
    def change(self) -> Iterator[Staging]:
        """A staging folder for one change; whatever is left in it goes away at the end.

        What processes that died left behind is finished or tidied first.

        Raises:
            LibraryBusyError: another process did not let go within the time-out.
        """
        path = self.root / "staging" / f"{os.getpid()}-{secrets.token_hex(8)}"
        own = path.with_suffix(".lock")  # beside the folder, so that it can outlast it
        # Under the library lock, because a folder without a held lock looks dead to recovery.
        with self.lock():
            self._recover()
            held = try_lock(own, 0)
            path.mkdir()
        try:
            yield Staging(path)
        finally:
            try:
                remove_tree(path)
            finally:
                own.unlink(missing_ok=True)
                if held is not None:
                    held.release()

    def _recover(self) -> None:
        dead = False
        staging = self.root / "staging"
        folders = {path.with_suffix("") for path in staging.iterdir()} - {staging / DOWNLOADS}
        for folder in sorted(folders):
            held = try_lock(folder.with_suffix(".lock"), 0)
            if held is not None:
                if folder.is_dir():  # or its change ended between the listing and the lock
                    dead = True
                    self._finish_import(folder)
                    remove_tree(folder)
                folder.with_suffix(".lock").unlink(missing_ok=True)
                held.release()
        if dead:
            self._finish_removals()

    def set_content_aside(self, model_id: str) -> None:
        """Move a model's content to the trash, to its manifest if that is there already."""
        if not self.content_path(model_id).exists():
            return
        waiting = [
            path.parent.name
            for path in sorted((self.root / "trash").glob(f"*/{model_id}.json"))
            if not path.with_suffix("").exists()
        ]
        entry_id = waiting[-1] if waiting else f"set-aside-{secrets.token_hex(8)}"
        self._move_content(model_id, self.trash_path(entry_id, model_id))

    def publish_content(self, items: Sequence[tuple[Path, str]]) -> list[bool]:
        """Publish staged folders as the content of models; ``False`` where one is there already."""
        for staged, _ in items:
            seal(staged)
        flags = hashing.publish([(staged, self.content_path(name)) for staged, name in items])
        for (_, model_id), published in zip(items, flags, strict=True):
            if published:
                chmod(self.content_path(model_id), 0o555)
        return flags

    def withdraw_content(self, staging: Staging, model_ids: Sequence[str]) -> None:
        """Take content back into staging whose manifests could not be published."""
        for model_id in model_ids:
            content = self.content_path(model_id)
            if not self.manifest_path(model_id).exists():
                chmod(content, 0o755)
                content.rename(staging.new_folder() / "withdrawn")

    def stage_manifests(
        self, staging: Staging, found: Sequence[Manifest]
    ) -> list[tuple[Manifest, bytes]]:
        """Write manifests into the staging folder, where recovery finds them; each as written."""
        written = [(manifest, manifests.encode(manifest)) for manifest in found]
        for manifest, data in written:
            staging.write("manifests", f"{manifest.id}.json", data)
        return written

    def publish_manifests(
        self, staging: Staging, staged: Sequence[tuple[Manifest, bytes]], *, replacing: bool
    ) -> list[CatalogRow]:
        """Publish staged manifests durably and return the rows they make."""
        folder = staging.path / "manifests"
        names = [f"{manifest.id}.json" for manifest, _ in staged]
        items = [(folder / name, self.root / "manifests" / name) for name in names]
        hashing.publish(items, replace=replacing)
        return [
            CatalogRow(manifest, data, path.stat().st_mtime_ns)
            for (manifest, data), (_, path) in zip(staged, items, strict=True)
        ]

    def read_row(self, model_id: str) -> CatalogRow:
        """One manifest from disk.

        Raises:
            LibraryFormatError: it cannot be read as a manifest of this model.
            OSError: it cannot be read at all.
        """
        path = self.manifest_path(model_id)
        with path.open("rb") as file:
            mtime_ns = os.fstat(file.fileno()).st_mtime_ns
            data = file.read()
        manifest = manifests.decode(data, str(path))
        if manifest.id != model_id:
            raise LibraryFormatError(f"{path} is the manifest of {manifest.id}", "Rename it back.")
        return CatalogRow(manifest, data, mtime_ns)

    def manifest_stamps(self) -> dict[str, tuple[int, int]]:
        """Model id -> (mtime in ns, size in bytes) of every manifest file."""
        stamps = {}
        with os.scandir(self.root / "manifests") as entries:
            for entry in entries:
                model_id = entry.name.removesuffix(".json")
                if model_id != entry.name and naming.is_model_id(model_id):
                    with suppress(FileNotFoundError):
                        found = entry.stat(follow_symlinks=False)
                        stamps[model_id] = (found.st_mtime_ns, found.st_size)
        return stamps

    def folder_stamp(self) -> str:
        """Changes whenever a manifest is added, replaced or taken away."""
        found = (self.root / "manifests").stat()
        return f"{found.st_ino}:{found.st_mtime_ns}"

    def write_journal(self, staging: Staging, entry: JournalEntry) -> None:
        """Write or rewrite one journal entry durably."""
        name = f"{entry.id}.json"
        staged = staging.write("journal", name, journal.encode(entry))
        hashing.publish([(staged, self.root / "journal" / name)], replace=True)

    def journal(self) -> Iterator[JournalEntry]:
        """Every journal entry, newest first.

        Raises:
            LibraryFormatError: the next one cannot be read.
        """
        for path in sorted((self.root / "journal").glob("*.json"), reverse=True):
            entry = journal.decode(path.read_bytes(), str(path))
            if entry.id != path.stem or not all(map(naming.is_model_id, entry.model_ids)):
                raise LibraryFormatError(f"{path} is no entry of this journal", "Move it away.")
            yield entry

    def last_entry_at(self) -> datetime | None:
        """When the newest journal entry began."""
        names = sorted(path.stem for path in (self.root / "journal").glob("*.json"))
        return journal.instant_of(names[-1]) if names else None

    def move_to_trash(self, entry_id: str, model_id: str) -> None:
        """Take a model out: its manifest first, which ends it, then its content."""
        target = self.trash_path(entry_id, model_id)
        hashing.publish([(self.manifest_path(model_id), target.with_name(f"{model_id}.json"))])
        hashing.sync_folder(self.root / "manifests")
        if self.content_path(model_id).exists():
            self._move_content(model_id, target)

    def restore_from_trash(self, entry_id: str, model_id: str) -> bool:
        """Put a removed model back, its manifest last. ``False``: it is not in the trash."""
        source = self.trash_path(entry_id, model_id)
        if not self.is_in_trash(entry_id, model_id):
            return False
        if source.exists() and not all(self.publish_content([(source, model_id)])):
            return False
        manifest = source.with_name(f"{model_id}.json")
        hashing.publish([(manifest, self.manifest_path(model_id))])
        with suppress(OSError):
            source.parent.rmdir()
        return True

    def is_in_trash(self, entry_id: str, model_id: str) -> bool:
        """Whether a removed model can be put back: with its content, not its manifest alone."""
        content = self.trash_path(entry_id, model_id)
        # A restore that was cut short has put the content back already.
        has_content = content.exists() or self.content_path(model_id).exists()
        return has_content and content.with_name(f"{model_id}.json").exists()

    def trash_entries(self) -> list[tuple[str, float]]:
        """The changes that have something in the trash, with the time of the last addition."""
        folders = sorted(path for path in (self.root / "trash").iterdir() if path.is_dir())
        return [(folder.name, folder.stat().st_mtime) for folder in folders]

    def trashed(self, entry_id: str) -> tuple[list[str], int]:
        """Ids and bytes of the models that one change put into the trash."""
        folder = self.root / "trash" / entry_id
        ids = {path.stem if path.suffix == ".json" else path.name for path in folder.iterdir()}
        return sorted(ids), tree_bytes(folder)

    def delete_from_trash(self, entry_id: str, model_id: str) -> None:
        """Delete for good one model that a change put into the trash."""
        content = self.trash_path(entry_id, model_id)
        content.with_name(f"{model_id}.json").unlink(missing_ok=True)
        if content.exists():
            remove_tree(content)
        with suppress(OSError):
            content.parent.rmdir()

    def empty_trash(self, entry_id: str) -> None:
        """Delete for good what one change put into the trash."""
        folder = self.root / "trash" / entry_id
        # Manifests first: one whose content is half gone must not look as if it could be restored.
        for manifest in folder.glob("*.json"):
            manifest.unlink()
        hashing.sync_folder(folder)
        remove_tree(folder)
        hashing.sync_folder(self.root / "trash")

    def is_writable(self) -> bool:
        """Whether this process may change the library at all."""
        return os.access(self.root, os.W_OK)

    def _move_content(self, model_id: str, target: Path) -> None:
        content = self.content_path(model_id)
        chmod(content, 0o755)
        hashing.publish([(content, target)])
        hashing.sync_folder(content.parent)

    def _finish_import(self, folder: Path) -> None:
        """Finish or set aside the models a process was about to publish when it died."""
        for staged in sorted((folder / "manifests").glob("*.json")):
            model_id = staged.stem
            if not naming.is_model_id(model_id) or self.manifest_path(model_id).exists():
                continue
            try:
                manifest = manifests.decode(staged.read_bytes(), str(staged))
            except LibraryFormatError:  # a power cut can take a part of what was never flushed
                self.set_content_aside(model_id)
                continue
            if manifest.id == model_id and self.content_matches(manifest):
                hashing.publish([(staged, self.manifest_path(model_id))])
            else:
                self.set_content_aside(model_id)

    def _finish_removals(self) -> None:
        """Move the content after its manifest where a removal was cut short between the two."""
        for manifest in sorted((self.root / "trash").glob("*/*.json")):
            model_id = manifest.stem
            if not naming.is_model_id(model_id):
                continue
            if not manifest.with_suffix("").exists() and not self.manifest_path(model_id).exists():
                self.set_content_aside(model_id)

    def without_manifest(self) -> list[str]:
        """Ids of content whose manifest is missing. Nothing is decided about it here."""
        return sorted(
            folder.name
            for folder in (self.root / "models").iterdir()
            if naming.is_model_id(folder.name) and not self.manifest_path(folder.name).exists()
        )

    def content_matches(self, manifest: Manifest) -> bool:
        """Whether every file of the model is there with its size."""
        content = self.content_path(manifest.id)
        try:
            sizes = [(content / file.path).lstat() for file in manifest.files]
        except OSError:
            return False
        return all(
            stat.S_ISREG(found.st_mode) and found.st_size == file.size_bytes
            for found, file in zip(sizes, manifest.files, strict=True)
        )
