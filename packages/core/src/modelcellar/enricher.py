"""Looks up where models of the library are from, and writes what is found into their manifests."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from modelcellar import journal
from modelcellar.bookkeeping import Bookkeeper
from modelcellar.enrichment import enriched
from modelcellar.failures import failure
from modelcellar.identification import Identification, Identifier, Question
from modelcellar.manifest import Manifest, fact_document, identity_document, is_writable
from modelcellar.origins import Match
from modelcellar.questions import about_model, of_whole_model, weights
from modelcellar.records import ErrorInfo, JsonValue
from modelcellar.reports import EnrichReport, EnrichResult

__all__ = ["Enricher", "write_answers"]

WRITE_EVERY_S = 5.0
WRITE_MODELS = 256


@dataclass(slots=True)
class _Model:
    """A model that is asked about, and the answers about its files so far."""

    before: Manifest
    answers: dict[int, Identification] = field(default_factory=dict)
    files: int = 0


class Enricher:
    """One run of look-ups.

    Args:
        on_result: told of each model as soon as what was found is written.
        dry_run: ask, and write nothing.
    """

    def __init__(
        self,
        books: Bookkeeper,
        identifier: Identifier,
        *,
        on_result: Callable[[EnrichResult], object] | None = None,
        dry_run: bool = False,
    ) -> None:
        self._books = books
        self._identifier = identifier
        self._on_result = on_result
        self._dry_run = dry_run
        self._entry = journal.new_entry("enrich", books.next_entry_at(), details={"before": {}})
        self._ready: list[_Model] = []
        self._written_at = time.monotonic()
        self._results: list[EnrichResult] = []

    async def run(self, found: Sequence[Manifest]) -> EnrichReport:
        """Ask about these models. What is answered is written even if the rest is cancelled.

        Raises:
            OSError: the library's disk is full or fails.
            LibraryBusyError: another process did not let go of the library in time.
        """
        questions: list[Question] = []
        owners: list[tuple[_Model, int]] = []
        for manifest in found:
            model = _Model(manifest)
            try:
                asked = list(about_model(manifest, self._books.store.content_path(manifest.id)))
            except OSError as error:
                self._tell(EnrichResult(manifest.id, manifest.identity, error=failure(error)))
                continue
            model.files = len(asked)
            questions += asked
            owners += [(model, number) for number in range(len(asked))]

        def on_answer(number: int, answer: Identification) -> None:
            model, place = owners[number]
            model.answers[place] = answer
            if len(model.answers) == model.files:
                self._ready.append(model)

        asking = asyncio.create_task(self._identifier.identify(questions, on_answer=on_answer))
        try:
            while not asking.done():
                await asyncio.wait([asking], timeout=1.0)
                if self._is_time():
                    self._write()
            await asking
        finally:
            asking.cancel()
            self._write()
        order = {manifest.id: place for place, manifest in enumerate(found)}
        results = sorted(self._results, key=lambda one: order[one.model_id])
        return EnrichReport(tuple(results), self._dry_run)

    def _is_time(self) -> bool:
        waited_s = time.monotonic() - self._written_at
        return len(self._ready) >= WRITE_MODELS or bool(self._ready and waited_s >= WRITE_EVERY_S)

    def _write(self) -> None:
        """Write what was found about the models that are ready, as a part of one change."""
        ready = list(self._ready)
        self._written_at = time.monotonic()
        verdicts = {model.before.id: _verdict(model) for model in ready}
        after = {model.before.id: model.before for model in ready}
        if self._dry_run:
            at = self._books.timestamp()
            after = {key: enriched(one, verdicts[key][0], at=at) for key, one in after.items()}
        elif ready:
            unsure = {key for key, (_, why) in verdicts.items() if why is not None}
            after = self._rewrite({key: found for key, (found, _) in verdicts.items()}, unsure)
        del self._ready[: len(ready)]  # not before they are written: what fails is told of as it is
        for model in ready:
            model_id = model.before.id
            matches, pending = verdicts[model_id]
            now = after.get(model_id, model.before)
            self._tell(
                EnrichResult(
                    model_id,
                    now.identity,
                    matches=matches,
                    fields=tuple(sorted(_changed(model.before, now))),
                    pending=pending,
                )
            )

    def _rewrite(
        self, matches: Mapping[str, Sequence[Match]], pending: Set[str]
    ) -> dict[str, Manifest]:
        """The manifests as they are now. What undo takes back are those that tell more."""
        with self._books.change() as staging:
            before, after = _updated(self._books, matches, pending)
            new = [one for one in after if _changed(before[one], after[one])]
            if new:
                old = self._entry.details["before"] | {one: _before(before[one]) for one in new}
                ids = (*self._entry.model_ids, *new)
                self._entry = replace(self._entry, model_ids=ids, details={"before": old})
                self._books.store.write_journal(staging, self._entry)
            self._books.rewrite(staging, [one for key, one in after.items() if one != before[key]])
            return after

    def _tell(self, result: EnrichResult) -> None:
        self._results.append(result)
        if self._on_result is not None:
            self._on_result(result)


def write_answers(
    books: Bookkeeper, answers: Mapping[str, Sequence[Identification]]
) -> dict[str, Manifest]:
    """Write answers about the files of models, by model id, as a part of the models' import.

    Raises:
        OSError: the library's disk is full or fails.
        LibraryBusyError: another process did not let go of the library in time.
    """
    with books.change() as staging:
        ids = [one for one in answers if books.store.manifest_path(one).exists()]
        found = {one: weights(books.store.read_row(one).manifest) for one in ids}
        verdicts = {one: of_whole_model(found[one], answers[one]) for one in ids}
        unsure = {one for one, (_, why) in verdicts.items() if why is not None}
        matches = {one: matches for one, (matches, _) in verdicts.items()}
        before, after = _updated(books, matches, unsure)
        books.rewrite(staging, [one for key, one in after.items() if one != before[key]])
    return after


def _updated(
    books: Bookkeeper, matches: Mapping[str, Sequence[Match]], pending: Set[str]
) -> tuple[dict[str, Manifest], dict[str, Manifest]]:
    """The manifests of models before and after what was found, without those removed meanwhile."""
    store, at = books.store, books.timestamp()
    present = [one for one in matches if store.manifest_path(one).exists()]
    rows = {one: store.read_row(one).manifest for one in present}
    # One that a newer version wrote stays as it is, and keeps nobody else from being written.
    before = {one: found for one, found in rows.items() if is_writable(found)}
    after = {one: enriched(before[one], matches[one], at=at) for one in before}
    asked = {one: replace(after[one], looked_up_at=at) for one in before if one not in pending}
    return before, after | asked


def _verdict(model: _Model) -> tuple[tuple[Match, ...], ErrorInfo | None]:
    answers = [model.answers[place] for place in range(model.files)]
    return of_whole_model(weights(model.before), answers)


def _changed(before: Manifest, after: Manifest) -> list[str]:
    """The fields that say something else now."""
    fields = [name for name, fact in after.facts.items() if before.facts.get(name) != fact]
    return [*fields, *(["identity"] if after.identity != before.identity else [])]


def _before(found: Manifest) -> JsonValue:
    """What undo needs."""
    facts = {name: fact_document(fact) for name, fact in found.facts.items()}
    return {"identity": identity_document(found.identity), "facts": facts}
