"""How links, and plans to make them, are shown and written as JSON."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.options import Options
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    emit_table,
    entry_to_json,
    error_to_json,
    path_fields,
    show_text,
    talk,
)
from modelcellar_cli.tables import Column

if TYPE_CHECKING:
    from modelcellar.link_records import Action, App, SyncReport

__all__ = ["app_to_json", "exit_code_of", "report_to_json", "show_report"]

COLUMNS = (
    Column(
        "ACTION",
        colours={
            "create": "green",
            "replace": "yellow",
            "remove": "yellow",
            "conflict": "red",
            "skip": "red",
        },
    ),
    Column("LINK"),
    Column("TARGET", cut_order=2),
    Column("MODEL", cut_order=1),
    Column("WHY", cut_order=1),
)
MOST_OF_A_KIND = 10
"""So many places are listed of those where one reason stands in the way."""
WORDS = {
    "create": ("created", "to create"),
    "keep": ("kept", "to keep"),
    "replace": ("replaced", "to replace"),
    "remove": ("removed", "to remove"),
    "conflict": ("in conflict", "in conflict"),
    "skip": ("skipped", "to skip"),
}


def app_to_json(app: "App") -> dict[str, Any]:
    """An application as data; ``link`` is ``auto`` for the preset's own order."""
    return {
        "name": app.name,
        "preset": app.preset,
        **path_fields("root", str(app.root)),
        "link": "auto" if app.link is None else app.link.value,
        "only": app.only,
        "folders": dict(app.folders),
        "added_at": app.added_at,
    }


def report_to_json(report: "SyncReport") -> dict[str, Any]:
    """A plan, or what became of it, application by application."""
    actions: dict[str, list[dict[str, Any]]] = {app.name: [] for app in report.apps}
    for action in report.actions:
        actions.setdefault(action.app, []).append(_action_to_json(action))
    return {
        "apps": [{"app": name, "actions": found} for name, found in actions.items()],
        "failures": [
            {"app": action.app, **path_fields("target", str(action.target))}
            | {"error": error_to_json(info)}
            for action, info in report.failures
        ],
        "entry": None if report.entry is None else entry_to_json(report.entry),
        "dry_run": report.dry_run,
    }


def exit_code_of(report: "SyncReport") -> int:
    """Partly done when an application does not have all that it should have."""
    from modelcellar.links.judging import is_offline_reason

    # A model that an application has no place for is no failure.
    missed = any(
        action.action == "conflict"
        or (action.action == "skip" and action.wish is not None)
        or is_offline_reason(action.reason)
        for action in report.actions
    )
    return ExitCode.PARTLY_DONE if missed or report.failures else ExitCode.DONE


def show_report(options: Options, report: "SyncReport", *, every: bool) -> None:
    """Print a plan or what became of it; ``every`` lists what is made and removed as well.

    For people, links that are kept and models without a place are counted, not listed.
    """
    if options.json:
        emit_json(report_to_json(report))
        return
    shown = [action for action in report.actions if _is_listed(action, every=every)]
    if options.quiet:
        changed = ("create", "replace", "remove")
        ids = (action.model_id for action in report.actions if action.action in changed)
        emit_lines(show_text(one) for one in dict.fromkeys(ids) if one)
        return
    roots = {app.name: app.root for app in report.apps}
    few, left_out = _few_of_a_kind(shown)
    if few:
        emit_table(COLUMNS, [_row(action, roots.get(action.app)) for action in few])
    for (name, reason), number in left_out.items():
        talk(options, show_text(f"{number:,} more of {name}: {reason} (all: --json)"))
    for app in report.apps:
        own = [action for action in report.actions if action.app == app.name]
        emit_lines([f"{show_text(app.name)}: {_counts(own, dry_run=report.dry_run)}"])
        for reason, number in _unplaced(own):
            talk(options, show_text(f"  {counted(number, 'model')} without a place: {reason}"))


def _is_listed(action: "Action", *, every: bool) -> bool:
    if action.action == "skip":
        return action.wish is not None or action.old is not None or action.link is not None
    return action.action == "conflict" or (every and action.action != "keep")


def _few_of_a_kind(
    actions: Iterable["Action"],
) -> tuple[list["Action"], Counter[tuple[str, str]]]:
    """The actions without those that only say again why nothing could be done."""
    few, seen = [], Counter[tuple[str, str]]()
    for action in actions:
        kind = (action.app, action.reason)
        if action.action in ("skip", "conflict"):
            seen[kind] += 1
        if seen[kind] <= MOST_OF_A_KIND or action.action not in ("skip", "conflict"):
            few.append(action)
    more = {kind: number - MOST_OF_A_KIND for kind, number in seen.items()}
    return few, Counter({kind: number for kind, number in more.items() if number > 0})


def _row(action: "Action", root: Path | None) -> list[str]:
    target = str(action.target)
    if root is not None and action.target.is_relative_to(root):
        target = str(action.target.relative_to(root.parent))
    return [
        action.action.value,
        "-" if action.link is None else action.link.value,
        show_text(target),
        show_text(action.model_id or "-"),
        show_text(action.reason or "-"),
    ]


def _counts(actions: Iterable["Action"], *, dry_run: bool) -> str:
    numbers = Counter(
        action.action.value
        for action in actions
        if action.action != "skip" or _is_listed(action, every=True)
    )
    parts = [
        f"{numbers[kind]:,} {words[dry_run]}" for kind, words in WORDS.items() if numbers[kind]
    ]
    return ", ".join(parts) or "nothing to do"


def _unplaced(actions: Iterable["Action"]) -> list[tuple[str, int]]:
    reasons = Counter(
        action.reason
        for action in actions
        if action.action == "skip" and not _is_listed(action, every=True)
    )
    return reasons.most_common()


def _action_to_json(action: "Action") -> dict[str, Any]:
    source = None if action.source is None else os.fspath(action.source)
    return {
        "action": action.action.value,
        "model_id": action.model_id,
        **({"source": None} if source is None else path_fields("source", source)),
        **path_fields("target", str(action.target)),
        "link": None if action.link is None else action.link.value,
        "reason": action.reason,
    }
