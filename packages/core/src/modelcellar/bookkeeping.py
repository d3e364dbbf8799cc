"""Keeps the catalog in step with the manifests, and makes every change to models durable.

The manifests are the truth. The catalog remembers the state of the manifests folder that its rows
stand for; when the folder looks different (a crash, another machine, a restored backup) only the
manifests that differ are read again.
"""

import errno
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modelcellar import journal, naming
from modelcellar import manifest as manifests
from modelcellar.errors import CellarError, LibraryBusyError, LibraryFormatError
from modelcellar.index import Catalog, CatalogRow
from modelcellar.manifest import Manifest
from modelcellar.mending import fit_content
from modelcellar.records import JournalEntry
from modelcellar.reports import Damage
from modelcellar.store import Staging, Store

__all__ = ["Bookkeeper", "Outcome", "StagedModel"]

log = logging.getLogger(__name__)

ID_DIGITS = (8, 12, 16, 24, 32, 64)


@dataclass(frozen=True, slots=True)
class StagedModel:
    """A model whose content lies in a staging folder; ``manifest.id`` is not chosen yet.

    ``digits`` are what its id ends with where there is no content digest to take them from.
    """

    content: Path
    manifest: Manifest
    name: str
    digits: str = ""

    @property
    def key(self) -> str:
        """What its id's digits are taken from, and what tells it from others of one run."""
        return self.manifest.content_digest or self.digits


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a staged model: its manifest in the library, and whether it was there."""

    manifest: Manifest
    duplicate: bool
    mended: bool = False
    """The library had lost or damaged files of this model and has them back now."""


class Bookkeeper:
    """Store and catalog of one library, changed together."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = store
        self.catalog = catalog
        self.now = now

    def timestamp(self) -> str:
        """The present instant as it is written into manifests."""
        return journal.timestamp(self.now())

    def next_entry_at(self) -> datetime:
        """An instant after that of every journal entry, even when the clock was set back."""
        last = self.store.last_entry_at()
        now = self.now()
        return now if last is None or last < now else last + timedelta(microseconds=1)

    @contextmanager
    def change(self) -> Iterator[Staging]:
        """A staging folder, with the library locked and the catalog up to date.

        Raises:
            LibraryBusyError: another process did not let go within the time-out.
        """
        with self.store.change() as staging, self.store.lock():
            self._catch_up()
            yield staging

    def refresh(self) -> None:
        """Read what changed in the manifests folder, if anything did.

        When another process holds the library, or the catalog's disk is full, the rows are used as
        they are. A library that can only be read needs no lock: nobody changes it from here.
        """
        if self.catalog.stamp() == self.store.folder_stamp():
            return
        try:
            with self.store.lock() if self.store.is_writable() else nullcontext():
                self._read_changes()
        except (LibraryBusyError, OSError) as error:
            log.warning("the catalog may be a little behind: %s", error)

    def rebuild(self) -> tuple[int, tuple[str, ...]]:
        """Make every row anew from the manifests: how many, and which could not be read."""
        with self.store.change(), self.store.lock():
            with self.catalog.transaction():
                self.catalog.clear()
                problems = self._put_readable(self.store.manifest_stamps())
                self.catalog.set_stamp(self.store.folder_stamp())
            for model_id in self.store.without_manifest():
                folder = self.store.content_path(model_id)
                problems.append(f"{folder} has no manifest; to take it in: cellar import {folder}")
            return len(self.catalog.file_stamps()), tuple(problems)

    def broken_manifests(self) -> tuple[list[Damage], list[Damage]]:
        """Manifests that cannot be read, and those that are missing beside their content."""
        damaged = []
        for model_id in sorted(self.store.manifest_stamps().keys() - self.catalog.file_stamps()):
            try:
                self.store.read_row(model_id)
            except (CellarError, OSError) as error:
                damaged.append(_broken(model_id, str(error)))
        missing = [_broken(found, "missing") for found in self.store.without_manifest()]
        return damaged, missing

    def publish(
        self, staging: Staging, models: Sequence[StagedModel], entry: JournalEntry
    ) -> tuple[list[Outcome], JournalEntry]:
        """Make staged models part of the library; equal content becomes a duplicate.

        Returns the outcomes in order, and the journal entry with the new models in it.

        Raises:
            OSError: nothing of this batch is lost; its sources are as they were.
            LibraryBusyError: another process did not let go within the time-out.
        """
        with self.store.lock():
            self._catch_up()
            outcomes: dict[str, Outcome] = {}
            chosen: dict[str, StagedModel] = {}
            taken: set[str] = set()
            for model in models:
                digest = model.key
                if digest not in chosen and digest not in outcomes:
                    present = self._present(model.manifest)
                    if present is None:
                        chosen[digest] = self._with_id(model, taken)
                        taken.add(chosen[digest].manifest.id)
                    else:
                        outcomes[digest] = self._already_there(staging, model, present)
            if chosen:
                fresh = [model.manifest.id for model in chosen.values()]
                entry = replace(entry, model_ids=(*entry.model_ids, *fresh))
                self.store.write_journal(staging, entry)
                self._put(self._publish_new(staging, list(chosen.values())))
        ordered = []
        for model in models:
            digest = model.key
            if digest in chosen:
                new = chosen.pop(digest).manifest
                ordered.append(Outcome(new, duplicate=False))
                outcomes[digest] = Outcome(new, duplicate=True)
            else:
                ordered.append(outcomes[digest])
                outcomes[digest] = replace(outcomes[digest], duplicate=True)
        return ordered, entry

    def rewrite(self, staging: Staging, found: Sequence[Manifest]) -> None:
        """Replace the manifests of existing models; within a :meth:`change`."""
        staged = self.store.stage_manifests(staging, found)
        self._put(self.store.publish_manifests(staging, staged, replacing=True))

    def remove(self, entry_id: str, model_ids: Iterable[str]) -> None:
        """Move models to the trash: catalog row, manifest, content; within a :meth:`change`."""
        ids = list(model_ids)
        with self.catalog.transaction():
            # An empty stamp makes the next run look again if this one is cut short.
            self.catalog.set_stamp("")
            self.catalog.delete(ids)
        for model_id in ids:
            self.store.move_to_trash(entry_id, model_id)
        self._put([])

    def restore(self, entry_id: str, model_ids: Iterable[str]) -> list[str]:
        """Bring models back from the trash; within a :meth:`change`. Those that came back."""
        back = [
            model_id
            for model_id in model_ids
            if not self._imported_again(entry_id, model_id)
            and self.store.restore_from_trash(entry_id, model_id)
        ]
        self._put([self.store.read_row(model_id) for model_id in back])
        return back

    def _publish_new(self, staging: Staging, chosen: Sequence[StagedModel]) -> list[CatalogRow]:
        # Staged before the content is published: a process that dies in between has left what the
        # next one needs to finish its work.
        staged = self.store.stage_manifests(staging, [model.manifest for model in chosen])
        ids = [model.manifest.id for model in chosen]
        contents = [model.content for model in chosen]
        rows: list[CatalogRow] = []
        try:
            if not all(self.store.publish_content(list(zip(contents, ids, strict=True)))):
                raise FileExistsError(errno.EEXIST, "taken meanwhile", str(self.store.root))
            rows = self.store.publish_manifests(staging, staged, replacing=False)
        finally:
            if not rows:
                # The originals are as they were, and nothing may be left that no one sees.
                moved = [m.manifest.id for m in chosen if not m.content.exists()]
                with suppress(OSError):
                    self.store.withdraw_content(staging, moved)
        return rows

    def _with_id(self, model: StagedModel, taken: Collection[str]) -> StagedModel:
        for digits in ID_DIGITS:
            model_id = naming.model_id(model.name, model.key, digits)
            if model_id in taken or self.store.manifest_path(model_id).exists():
                continue
            # Content without a manifest, of an import that was cut short: the same bytes come now.
            self.store.set_content_aside(model_id)
            return replace(model, manifest=replace(model.manifest, id=model_id))
        raise LibraryFormatError(
            f"no free id for {naming.display(model.name)!r}", "Import it with another --name."
        )

    def _already_there(self, staging: Staging, model: StagedModel, present: Manifest) -> Outcome:
        if self.is_well(present):
            return Outcome(present, duplicate=True)
        # The library lost or damaged these files: the source brings them back.
        old_content = self.store.content_path(present.id)
        mended = fit_content(model.content, model.manifest, present, old_content)
        self.store.set_content_aside(present.id)
        if not all(self.store.publish_content([(model.content, present.id)])):
            raise FileExistsError(errno.EEXIST, "taken meanwhile", str(self.store.root))
        staged = self.store.stage_manifests(staging, [mended])
        self._put(self.store.publish_manifests(staging, staged, replacing=True))
        return Outcome(mended, duplicate=False, mended=True)

    def is_well(self, found: Manifest) -> bool:
        """Whether the files are there in their sizes, and no verification found them damaged."""
        return found.damaged_at is None and self.store.content_matches(found)

    def _imported_again(self, entry_id: str, model_id: str) -> bool:
        """Whether the content of a removed model came back by another import meanwhile."""
        path = self.store.trash_path(entry_id, model_id).with_name(f"{model_id}.json")
        if not path.exists():
            return False
        found = manifests.decode(path.read_bytes(), str(path))
        return self._present(found) is not None

    def _present(self, found: Manifest) -> Manifest | None:
        """The library's model with exactly this content; none is the same as one never read."""
        digest = found.content_digest
        return None if digest is None else self.catalog.by_content(digest)

    def _catch_up(self) -> None:
        if self.catalog.stamp() != self.store.folder_stamp():
            self._read_changes()

    def _read_changes(self) -> None:
        known = self.catalog.file_stamps()
        with self.catalog.transaction():
            stamp = self.store.folder_stamp()
            present = self.store.manifest_stamps()
            self.catalog.delete(known.keys() - present.keys())
            changed = [found for found, stamped in present.items() if known.get(found) != stamped]
            self._put_readable(sorted(changed))
            self.catalog.set_stamp(stamp)

    def _put_readable(self, model_ids: Iterable[str]) -> list[str]:
        problems = []
        for model_id in sorted(model_ids):
            try:
                row = self.store.read_row(model_id)
            except (CellarError, OSError) as error:
                log.warning("%s", error)
                problems.append(str(error))
                self.catalog.delete([model_id])
            else:
                self.catalog.put([row])
        return problems

    def _put(self, rows: Sequence[CatalogRow]) -> None:
        try:
            with self.catalog.transaction():
                self.catalog.put(rows)
                self.catalog.set_stamp(self.store.folder_stamp())
        except OSError as error:
            # The manifests are in place, so the change is made; the next run reads them again.
            log.warning("the catalog is a little behind: %s", error)


def _broken(model_id: str, actual: str) -> Damage:
    return Damage(model_id, f"manifests/{model_id}.json", "a readable manifest", actual)
