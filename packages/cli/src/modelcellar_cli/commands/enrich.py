"""``cellar enrich``: look up where models are from, and keep what is found."""

import time
from collections import Counter
from typing import TYPE_CHECKING

import click

from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.origins import match_to_json, talk_of_pending, talk_of_wait
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    emit_table,
    error_to_json,
    identity_to_json,
    show_text,
    talk,
)
from modelcellar_cli.session import open_library
from modelcellar_cli.tables import Column

if TYPE_CHECKING:
    from modelcellar.reports import EnrichReport, EnrichResult

TELL_EVERY_S = 5.0
COLUMNS = (
    Column("MODEL", cut_order=1),
    Column(
        "ORIGIN",
        colours={"verified": "green", "claimed": "cyan", "candidate": "yellow", "failed": "red"},
    ),
    Column("WHERE", cut_order=1),
    Column("WHY", cut_order=2),
)


@click.command("enrich", cls=CellarCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--refresh", is_flag=True, help="Ask the hosts again, whatever is remembered.")
@click.option("--dry-run", is_flag=True, help="Show what would be written; change nothing.")
@click.pass_obj
def command(options: Options, models: tuple[str, ...], refresh: bool, dry_run: bool) -> int:
    """Look up where MODELs are from, and write what is found into the library.

    Without MODEL: all whose origin is not proved yet. What you said with "cellar edit" stays, and
    so does what is known for sure. What was found before Ctrl-C is kept; the rest is asked for by
    the same command later. Digests and names are sent, never files. With -q prints the ids of the
    models whose origin is proved now.

    Exit codes: 0 all asked about, 3 a host could not be asked about some, 9 about none.
    """
    told = _Told(options)
    with open_library(options) as library:
        try:
            report = library.enrich(
                models,
                refresh=refresh,
                dry_run=dry_run,
                on_wait=talk_of_wait(options),
                on_result=told,
            )
        except KeyboardInterrupt:
            talk(options, f"\nStopped. What was found about {told.text} before is kept.")
            raise
    _show(options, report)
    waiting = [one for one in report.results if one.pending is not None or one.error is not None]
    if not waiting:
        return ExitCode.DONE
    pending = next((one.pending for one in waiting if one.pending is not None), None)
    if pending is not None:
        talk_of_pending(options, pending)
        talk(options, f"{counted(len(waiting), 'model')} will be asked about by: cellar enrich")
    some = len(waiting) < len(report.results) or any(one.fields for one in waiting)
    return ExitCode.PARTLY_DONE if some or pending is None else ExitCode.UNAVAILABLE


class _Told:
    """Counts results, and says now and then how many there are."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._asked = self._proved = 0
        self._at = time.monotonic()

    def __call__(self, result: "EnrichResult") -> None:
        self._asked += 1
        self._proved += result.identity.status == "verified"
        if time.monotonic() - self._at >= TELL_EVERY_S:
            self._at = time.monotonic()
            talk(self._options, f"{self.text} so far")

    @property
    def text(self) -> str:
        """How far it is."""
        return f"{counted(self._asked, 'model')}, {self._proved:,} proved"


def _show(options: Options, report: "EnrichReport") -> None:
    if options.json:
        results = [_to_json(one) for one in report.results]
        emit_json({"results": results, "dry_run": report.dry_run})
    elif options.quiet:
        proved = (one for one in report.results if one.identity.status == "verified")
        emit_lines(show_text(one.model_id) for one in proved)
    else:
        _show_to_people(options, report)


def _show_to_people(options: Options, report: "EnrichReport") -> None:
    if not report.results:
        talk(options, "The origin of every model is proved.")
        return
    emit_table(COLUMNS, [_row(one) for one in report.results])
    states = Counter(_state(one) for one in report.results)
    emit_lines(["", ", ".join(f"{number:,} {state}" for state, number in states.most_common())])
    if report.dry_run:
        talk(options, "Nothing was changed. Run it without --dry-run to do it.")
    elif any(one.fields for one in report.results):
        talk(options, "Take it back: cellar undo    See it all: cellar show MODEL")


def _row(one: "EnrichResult") -> list[str]:
    identity = one.identity
    where = " ".join(part for part in (identity.provider, identity.repo_id, identity.path) if part)
    why = one.error.message if one.error is not None else identity.evidence
    return [show_text(text or "-") for text in (one.model_id, _state(one), where, why)]


def _state(one: "EnrichResult") -> str:
    if one.error is not None:
        return "failed"
    if one.pending is not None and one.identity.status == "unknown":
        return "pending"
    return one.identity.status


def _to_json(one: "EnrichResult") -> dict[str, object]:
    return {
        "model_id": one.model_id,
        "identity": identity_to_json(one.identity),
        "matches": [match_to_json(match) for match in one.matches],
        "fields": list(one.fields),
        "pending": error_to_json(one.pending),
        "error": error_to_json(one.error),
    }
