"""Brings a set of models to a library: what was said of its models, and files found in folders.

What the user has changed since the set was written stays as it is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from modelcellar import journal
from modelcellar.bookkeeping import Bookkeeper
from modelcellar.enrichment import is_better, may_replace
from modelcellar.errors import LibraryFormatError
from modelcellar.io.manager import IoManager
from modelcellar.manifest import Fact, Manifest, fact_document, identity_document, is_writable
from modelcellar.model_set import FROM_FILES, ModelSet, SetModel
from modelcellar.records import Digests, JournalEntry, JsonValue
from modelcellar.reports import (
    Progress,
    RestoreReport,
    RestoreResult,
    RestoreStatus,
)
from modelcellar.seeking import TakeIn, bring_in, missing_files, seek

__all__ = ["restore"]


def restore(
    books: Bookkeeper,
    wanted: ModelSet,
    folders: Sequence[Path] = (),
    *,
    take_in: TakeIn,
    disks: IoManager,
    dry_run: bool = False,
    progress: Callable[[Progress], object] | None = None,
) -> RestoreReport:
    """Bring a set to a library; see :meth:`modelcellar.library.ModelLibrary.restore`."""

    def tell(done_bytes: int, total_bytes: int) -> None:
        if progress is not None:
            progress(Progress("look", 0, len(wanted.models), done_bytes, total_bytes))

    restorer = _Restorer(books, wanted)
    absent = restorer.absent()
    found: Mapping[Digests, Path] = {}
    if folders and absent:
        found = seek(folders, absent, disks=disks, without=books.store.root, progress=tell)
    if dry_run:
        return restorer.apply(dry_run=True, found=found)
    problems = bring_in(absent, found, take_in) if found else {}
    left = {model.content_digest for model in restorer.absent()}
    came_in = [model for model in absent if model.content_digest not in left]
    return restorer.apply(dry_run=False, came_in=came_in, found=found, problems=problems)


@dataclass(frozen=True, slots=True)
class _Step:
    """What is to be done about one model that is there."""

    before: Manifest
    after: Manifest
    changed: tuple[str, ...]
    kept: tuple[str, ...]


class _Restorer:
    """Restores one set into one library."""

    def __init__(self, books: Bookkeeper, wanted: ModelSet) -> None:
        self._books = books
        self._wanted = wanted
        self._taken_back: dict[str, dict[str, str]] | None = None

    def absent(self) -> list[SetModel]:
        """The models of the set that the library does not have."""
        by_content = self._books.catalog.by_content
        return [one for one in self._wanted.models if by_content(one.content_digest) is None]

    def apply(
        self,
        *,
        dry_run: bool,
        came_in: Sequence[SetModel] = (),
        found: Mapping[Digests, Path] | None = None,
        problems: Mapping[str, str] | None = None,
    ) -> RestoreReport:
        """Write what the set says of the models that are there, as one change that can be undone.

        Args:
            dry_run: only say what would be done.
            came_in: models that this run imported.
            found: files that were found, for a dry run that imported nothing.
            problems: why models could not be imported, by content digest.
        """
        steps = {}
        entry = None
        if dry_run:
            steps = dict(self._steps())
        else:
            with self._books.change() as staging:
                steps = dict(self._steps())
                changed = [step for step in steps.values() if step.changed]
                if changed:
                    entry = self._entry(changed)
                    self._books.store.write_journal(staging, entry)
                    self._books.rewrite(staging, [step.after for step in changed])
        new = {model.content_digest for model in came_in}
        results = [
            self._result(model, steps.get(model.content_digest), new, found or {}, problems or {})
            for model in self._wanted.models
        ]
        return RestoreReport(tuple(results), entry, dry_run)

    def _steps(self) -> Iterator[tuple[str, _Step]]:
        for model in self._wanted.models:
            present = self._books.catalog.by_content(model.content_digest)
            if present is not None:
                yield model.content_digest, self._step(present, model)

    def _step(self, present: Manifest, model: SetModel) -> _Step:
        if not is_writable(present):
            return _Step(present, present, (), tuple(sorted(model.edits)))
        edits, facts = dict(present.edits), dict(present.facts)
        kept = []
        for name, edit in model.edits.items():
            mine = present.edits.get(name)
            if mine is not None and mine.value == edit.value:
                continue
            if self._is_changed_since(present, name, edit):
                kept.append(name)
            else:
                edits[name] = edit
        for name, fact in model.facts.items():
            old = facts.get(name)
            if fact.source not in FROM_FILES and fact != old and may_replace(fact, old):
                facts[name] = fact
        identity = present.identity
        if model.identity != identity and is_better(model.identity, identity):
            identity = model.identity
        after = replace(present, edits=edits, facts=facts, identity=identity)
        changed = [
            *(name for name in edits if edits[name] != present.edits.get(name)),
            *(name for name in facts if facts[name] != present.facts.get(name)),
            *(["identity"] if identity != present.identity else []),
        ]
        return _Step(present, after, tuple(dict.fromkeys(changed)), tuple(kept))

    def _is_changed_since(self, present: Manifest, name: str, edit: Fact) -> bool:
        mine = present.edits.get(name)
        changed_at = self._taken_back_at(present.id, name) if mine is None else mine.at
        return changed_at != "" and _moment(changed_at) >= _moment(edit.at)

    def _taken_back_at(self, model_id: str, name: str) -> str:
        """When the user last took this edit back; only the journal knows. Empty: never."""
        if self._taken_back is None:
            self._taken_back = {}
            with suppress(LibraryFormatError):  # what is garbled tells nothing
                for entry in self._books.store.journal():
                    self._note(entry)
        return self._taken_back.get(model_id, {}).get(name, "")

    def _note(self, entry: JournalEntry) -> None:
        if entry.command != "edit" or entry.undone_at is not None or self._taken_back is None:
            return
        for model_id in entry.model_ids:
            for name in entry.details.get("edits", {}):
                # The newest entry comes first.
                self._taken_back.setdefault(model_id, {}).setdefault(name, entry.at)

    def _entry(self, changed: Sequence[_Step]) -> JournalEntry:
        before: dict[str, JsonValue] = {
            step.before.id: {
                "identity": identity_document(step.before.identity),
                "facts": {name: fact_document(f) for name, f in step.before.facts.items()},
                "edits": {name: fact_document(f) for name, f in step.before.edits.items()},
            }
            for step in changed
        }
        at = self._books.next_entry_at()
        entry = journal.new_entry("restore", at, details={"before": before})
        return replace(entry, model_ids=tuple(before))

    def _result(
        self,
        model: SetModel,
        step: _Step | None,
        new: set[str],
        found: Mapping[Digests, Path],
        problems: Mapping[str, str],
    ) -> RestoreResult:
        missing: list[str] = []
        if step is None:
            missing = missing_files(model, found)
            status = RestoreStatus.MISSING if missing else RestoreStatus.FOUND
            if not missing and model.content_digest in problems:
                status = RestoreStatus.FAILED
        elif model.content_digest in new:
            status = RestoreStatus.IMPORTED
        else:
            status = RestoreStatus.CHANGED if step.changed else RestoreStatus.SAME
        return RestoreResult(
            content_digest=model.content_digest,
            name=model.shown_name,
            status=status,
            model_id=step.before.id if step is not None else None,
            changed=step.changed if step is not None else (),
            kept=step.kept if step is not None else (),
            files=tuple(file for file in model.files if file.path in missing),
            sources=tuple(source.url or source.provider for source in model.sources),
            problem=problems[model.content_digest] if status is RestoreStatus.FAILED else "",
        )


def _moment(text: str) -> datetime:
    """An instant; one that nobody can read is long ago."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)
