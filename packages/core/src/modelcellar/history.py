"""Removing models, and taking back the last change."""

import logging
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from modelcellar import dedupe, journal, naming
from modelcellar import manifest as manifests
from modelcellar.bookkeeping import Bookkeeper
from modelcellar.edits import apply_edits
from modelcellar.errors import (
    ContentDamagedError,
    LibraryFormatError,
    ModelNotFoundError,
    NothingToUndoError,
    UsageError,
)
from modelcellar.io import hashing
from modelcellar.io.bytewise import are_equal
from modelcellar.links.keeper import LINK_COMMANDS, LinkKeeper
from modelcellar.manifest import Manifest
from modelcellar.records import Digests, EditChanges, JournalEntry, JsonValue
from modelcellar.reports import PurgeReport
from modelcellar.store import Staging

__all__ = ["edit_model", "last_change", "purge", "removal_of", "remove_models", "undo"]

log = logging.getLogger(__name__)


def edit_model(books: Bookkeeper, model_id: str, changes: EditChanges) -> Manifest:
    """Write the user's changes into a manifest, with a journal entry that can restore it.

    Raises:
        LibraryFormatError: the manifest is of a newer format.
    """
    with books.change() as staging:
        _check_present(books, model_id)
        before = books.store.read_row(model_id).manifest
        after = apply_edits(before, changes, at=books.timestamp())
        if after.edits == before.edits:
            return before
        manifests.encode(after)  # what cannot be written must not be in the journal either
        entry = journal.new_entry("edit", books.next_entry_at(), details={"edits": _edits(before)})
        books.store.write_journal(staging, replace(entry, model_ids=(model_id,)))
        books.rewrite(staging, [after])
    return after


def removal_of(books: Bookkeeper, model_ids: Sequence[str]) -> JournalEntry:
    """The journal entry of removing these models; nothing is done yet."""
    return replace(journal.new_entry("remove", books.next_entry_at()), model_ids=tuple(model_ids))


def remove_models(
    books: Bookkeeper,
    model_ids: Sequence[str],
    links: LinkKeeper | None = None,
    *,
    write_lists: Callable[[str], object] = lambda _: None,
) -> JournalEntry:
    """Move models to the trash, all of them as one change; their links on this machine go first.

    ``write_lists`` is given the id of the change, to tell applications which models there are now.
    """
    with _links_held(links), books.change() as staging:
        entry = removal_of(books, model_ids)
        for model_id in model_ids:
            _check_present(books, model_id)
        books.store.write_journal(staging, entry)
        if links is not None and links.is_used:
            links.withdraw(entry.model_ids, entry.id, books.timestamp())
        books.remove(entry.id, entry.model_ids)
        if links is not None and links.is_used:
            write_lists(entry.id)
    return entry


def last_change(books: Bookkeeper, links: LinkKeeper | None = None) -> JournalEntry:
    """The newest change that was not taken back.

    Raises:
        NothingToUndoError: there is none.
    """
    for entry in books.store.journal():
        if entry.undone_at is None and _is_in_force(books, entry, links):
            return entry
    raise NothingToUndoError("there is no change to take back", "See: cellar list")


def undo(books: Bookkeeper, links: LinkKeeper | None = None) -> JournalEntry:
    """Take the last change back.

    Raises:
        NothingToUndoError: there is none.
        UsageError: an application's disk is away; then nothing was changed.
        OSError: an original could not be put back; then nothing was taken out.
    """
    with _links_held(links), books.change() as staging:
        entry = last_change(books, links)
        if entry.command in ("import", "download"):
            _undo_import(books, entry, links)
        elif entry.command == "dedupe":
            for path in dedupe.take_back(entry.id)[1]:
                log.warning("%s: not taken back: something else is there now", path)
        elif entry.command == "adopt":
            _undo_adoption(books, entry, links)
        elif entry.command == "remove":
            books.restore(entry.id, entry.model_ids)
        elif entry.command == "enrich":
            _undo_enrich(books, staging, entry)
        elif entry.command == "restore":
            _undo_restore(books, staging, entry)
        elif entry.command == "edit":
            _undo_edit(books, staging, entry)
        if links is not None and links.is_used:
            links.undo(entry, books.timestamp())
        done = replace(entry, undone_at=books.timestamp())
        books.store.write_journal(staging, done)
        if links is not None and links.is_used:
            links.ledger.forget_changes(entry.id)
    return done


def purge(books: Bookkeeper, *, older_than_s: float = 0.0, dry_run: bool = False) -> PurgeReport:
    """Delete the trash for good; removals whose models are gone can no longer be undone.

    Args:
        books: the library.
        older_than_s: keep what was removed within so many seconds.
        dry_run: only say what would go.
    """
    until = books.now().timestamp() - older_than_s
    ids: list[str] = []
    size_bytes = 0
    with books.change():
        for entry_id, changed_at in books.store.trash_entries():
            if changed_at <= until:
                found, found_bytes = books.store.trashed(entry_id)
                ids += found
                size_bytes += found_bytes
                if not dry_run:
                    books.store.empty_trash(entry_id)
    return PurgeReport(tuple(ids), size_bytes, dry_run)


def _is_in_force(books: Bookkeeper, entry: JournalEntry, links: LinkKeeper | None) -> bool:
    """Whether there is anything to take back.

    Not when the process died before the change itself, nor when its models were purged since.
    """
    if entry.command in LINK_COMMANDS:
        return links is not None and links.is_in_force(entry)
    if entry.command == "dedupe":
        return dedupe.is_in_force(entry)
    is_there = any(books.store.manifest_path(one).exists() for one in entry.model_ids)
    in_trash = any(books.store.is_in_trash(entry.id, one) for one in entry.model_ids)
    if entry.command == "remove":
        # A process that died may have come as far as the links.
        return in_trash or (is_there and links is not None and links.is_in_force(entry))
    # In the trash by its own id is what an undo took out that died before it said so.
    return is_there or in_trash


def _links_held(links: LinkKeeper | None) -> AbstractContextManager[None]:
    """The links of this machine, held; nothing where there never were any."""
    return links.changing() if links is not None and links.is_used else nullcontext()


def _check_present(books: Bookkeeper, model_id: str) -> None:
    """Another process may have removed the model since its name was looked up."""
    if not books.store.manifest_path(model_id).exists():
        raise ModelNotFoundError(f"{model_id} was removed meanwhile", "See: cellar list")


def _undo_import(books: Bookkeeper, entry: JournalEntry, links: LinkKeeper | None) -> None:
    present = [found for found in entry.model_ids if books.store.manifest_path(found).exists()]
    moved = entry.details.get("moved", {})
    for model_id in present:
        found = books.store.read_row(model_id).manifest
        for relative, original, mode in moved.get(found.content_digest, ()):
            if not _is_back(found, relative, Path(original)):
                _put_back(books, found, relative, Path(original), mode=mode)
    if links is not None and links.is_used:
        links.withdraw(present, None, books.timestamp())
    books.remove(entry.id, present)


def _undo_adoption(books: Bookkeeper, entry: JournalEntry, links: LinkKeeper | None) -> None:
    """Take adopted models out. What still stands where it was adopted needs no place in the trash.

    Only one and the same file counts for that: the original of a clone may have changed since. The
    companions that were copied are small enough to be compared.
    """
    present = [found for found in entry.model_ids if books.store.manifest_path(found).exists()]
    copied = {model_id: _companions(books, model_id) for model_id in present}
    if links is not None and links.is_used:
        links.withdraw(present, None, books.timestamp())
    books.remove(entry.id, present)
    for model_id in present:
        digits = model_id.rpartition("-")[2]
        content = books.store.trash_path(entry.id, model_id)
        for key, files in entry.details.get("adopted", {}).items():
            if key.startswith(digits) and _stand_elsewhere(content, files, copied[model_id]):
                books.store.delete_from_trash(entry.id, model_id)


def _companions(books: Bookkeeper, model_id: str) -> Collection[str]:
    with suppress(LibraryFormatError, OSError):
        files = books.store.read_row(model_id).manifest.files
        return {file.path for file in files if file.is_companion}
    return ()


def _stand_elsewhere(
    content: Path, files: Sequence[tuple[str, str]], copied: Collection[str]
) -> bool:
    try:
        return all(
            _stands(Path(original), content / relative, is_copied=relative in copied)
            for relative, original in files
        )
    except OSError:
        return False


def _stands(original: Path, ours: Path, *, is_copied: bool) -> bool:
    found = original.lstat()
    if original.samefile(ours):
        return found.st_nlink > 1
    return is_copied and stat.S_ISREG(found.st_mode) and are_equal(original, ours)


def _is_back(found: Manifest, relative: str, original: Path) -> bool:
    """Whether a moved file stands at its old place again, from an undo that was cut short.

    Raises:
        UsageError: something else stands there, which is never overwritten.
    """
    if not original.exists() and not original.is_symlink():
        return False
    if hashing.hash_file(original).digests == _digests(found, relative):
        return True
    raise UsageError(
        f"{naming.display(str(original))} is not the file that was moved from there",
        "Move it away and undo again.",
    )


def _digests(found: Manifest, relative: str) -> Digests | None:
    return next(file.digests for file in found.files if file.path == relative)


def _put_back(
    books: Bookkeeper, found: Manifest, relative: str, original: Path, *, mode: int
) -> None:
    """Copy a moved file to where it came from."""
    original.parent.mkdir(parents=True, exist_ok=True)
    source = books.store.content_path(found.id) / relative
    copied = hashing.copy_with_hashing(source, original)
    if copied.digests != _digests(found, relative):
        original.unlink()
        raise ContentDamagedError(
            f"{source} is not what it was when it was imported; the move was not undone",
            f"See what is wrong with: cellar verify {found.id}",
        )
    original.chmod(mode)


def _undo_edit(books: Bookkeeper, staging: Staging, entry: JournalEntry) -> None:
    edits = {
        name: manifests.Fact(fact["value"], fact["source"], fact["at"])
        for name, fact in entry.details["edits"].items()
    }
    for model_id in entry.model_ids:
        if books.store.manifest_path(model_id).exists():
            found = books.store.read_row(model_id).manifest
            books.rewrite(staging, [replace(found, edits=edits)])


def _undo_enrich(books: Bookkeeper, staging: Staging, entry: JournalEntry) -> None:
    """Put back what was known before; the user's edits since then stay."""
    found = []
    for model_id, before in entry.details["before"].items():
        if books.store.manifest_path(model_id).exists():
            now = books.store.read_row(model_id).manifest
            facts = manifests.to_facts(before["facts"])
            identity = manifests.to_identity(before["identity"])
            found.append(replace(now, facts=facts, identity=identity))
    books.rewrite(staging, found)


def _undo_restore(books: Bookkeeper, staging: Staging, entry: JournalEntry) -> None:
    """Put back what was known and said before a set was brought."""
    found = []
    for model_id, before in entry.details["before"].items():
        if books.store.manifest_path(model_id).exists():
            now = books.store.read_row(model_id).manifest
            facts, edits = (manifests.to_facts(before[key]) for key in ("facts", "edits"))
            identity = manifests.to_identity(before["identity"])
            found.append(replace(now, facts=facts, edits=edits, identity=identity))
    books.rewrite(staging, found)


def _edits(found: Manifest) -> Mapping[str, JsonValue]:
    return {
        name: {"value": fact.value, "source": fact.source, "at": fact.at}
        for name, fact in found.edits.items()
    }
