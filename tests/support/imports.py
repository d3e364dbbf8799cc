"""What an import said and did, in a form that tests can compare."""

from collections.abc import Callable
from pathlib import Path

from modelcellar.library import ModelLibrary
from modelcellar.reports import ImportReport, Progress
from tests.support.trees import tree

CATALOG = frozenset({"catalog", ".lock"})
"""What of a library's folder is no part of its truth."""


def statuses(report: ImportReport) -> dict[str, str]:
    """Name of the source -> what became of it, with the code of an error."""
    found = {}
    for result in report.results:
        code = f" {result.error.code}" if result.error is not None else ""
        found[Path(result.source).name] = f"{result.status}{code}"
    return found


def content(library: ModelLibrary, model_id: str | None) -> dict[bytes, bytes]:
    """Relative path -> bytes of what the library holds of a model."""
    assert model_id is not None
    folder = library.path / "models" / model_id
    return {path: data for path, (kind, _, data) in tree(folder).items() if kind == "file"}


def when(phase: str, act: Callable[[], object]) -> Callable[[Progress], None]:
    """A watcher that acts once, when the import reaches a phase."""
    waiting = [act]

    def watch(progress: Progress) -> None:
        if progress.phase == phase and waiting:
            waiting.pop()()

    return watch
