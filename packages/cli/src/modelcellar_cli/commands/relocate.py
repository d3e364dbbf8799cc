"""``cellar relocate``: move the library to another folder or disk."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    human_size,
    path_fields,
    show_text,
    talk,
)
from modelcellar_cli.progress import ProgressTalk

if TYPE_CHECKING:
    from modelcellar.records import Setting
    from modelcellar.reports import RelocateReport


UNFINISHED = "staging/downloads"


@click.command("relocate", cls=CellarCommand)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--copy", is_flag=True, help="Copy, also where the folder could be renamed.")
@click.option(
    "--verify",
    type=click.Choice(["memory", "disk"]),
    default="memory",
    help="memory (the default): digests while it is written; disk: also read back from the disk.",
)
@click.option(
    "--with-damaged",
    is_flag=True,
    help="Take files along that are not what is on record; otherwise they keep the library here.",
)
@click.option("--delete-old", is_flag=True, help="Delete the old folder's models afterwards.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
@click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
@click.pass_obj
def command(
    options: Options,
    folder: Path,
    copy: bool,
    verify: Literal["memory", "disk"],
    with_damaged: bool,
    delete_old: bool,
    yes: bool,
    dry_run: bool,
) -> int:
    """Move the library to FOLDER, which is new or empty.

    On one disk the folder is renamed. To another disk everything is copied, and each digest
    compared with the one on record; the new place becomes the library only when all is there. The
    old folder is kept, and marked as moved. Run it again to finish a move that was cut short.

    Exit codes: 0 moved, 3 moved and the old folder not deleted, 6 damaged files keep the library
    where it is, 7 another process holds it, 8 no space.
    """
    from modelcellar.config import load_settings
    from modelcellar.relocate.relocation import RelocateOptions, relocate

    settings, origins = load_settings(flags=options.flags())
    if delete_old and not dry_run:
        _ask(settings.library, yes)
    how = RelocateOptions(copy, with_damaged, verify, delete_old, dry_run)
    with ProgressTalk(options) as progress:
        report = relocate(settings.library, folder, settings, how, progress=progress)
    setting = next(one for one in origins if one.name == "library")
    if options.json:
        emit_json(_to_json(report, setting))
    elif options.quiet:
        emit_lines([show_text(report.new)])
    else:
        emit_lines(_lines(report))
        if not dry_run:
            for text in _advice(report, setting):
                talk(options, text)
    if not (report.switched or dry_run):
        return ExitCode.VERIFICATION_FAILED
    kept = delete_old and report.old_is_kept and not dry_run
    return ExitCode.PARTLY_DONE if kept else ExitCode.DONE


def _ask(library: Path, yes: bool) -> None:
    what = f"the models in {show_text(str(library))} once they are copied and checked"
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"This deletes {what}: say --yes.")
    click.confirm(f"Delete {what}?", abort=True, err=True)


def _to_json(report: "RelocateReport", setting: "Setting") -> dict[str, Any]:
    return {
        **path_fields("old", report.old),
        **path_fields("new", report.new),
        "how": report.how,
        "models": report.models,
        "size_bytes": report.size_bytes,
        "copied_bytes": report.copied_bytes,
        "kept_bytes": report.kept_bytes,
        "damaged": [
            {
                "model_id": one.model_id,
                **path_fields("path", one.path),
                "expected": one.expected,
                "actual": one.actual,
            }
            for one in report.damaged
        ],
        "left": [show_text(name) for name in report.left],
        "switched": report.switched,
        "old_is_kept": report.old_is_kept,
        "old_is_marked": report.old_is_marked,
        "has_links": report.has_links,
        "setting": {"value": setting.value, "origin": setting.origin},
        "seconds": report.seconds,
        "dry_run": report.dry_run,
    }


def _lines(report: "RelocateReport") -> Iterator[str]:
    old, new = show_text(report.old), show_text(report.new)
    what = f"{counted(report.models, 'model')}, {human_size(report.size_bytes)}"
    if report.how == "moved before":
        yield f"moved before: {old} -> {new}"
    else:
        verb = "would be" if report.dry_run else "" if report.switched else "not yet"
        yield f"{f'{verb} {report.how}'.strip()}: {old} -> {new}, {what}"
    if report.copied_bytes or report.kept_bytes:
        there = human_size(report.kept_bytes)
        copied = human_size(report.copied_bytes)
        yield f"  {copied} copied and checked, {there} there already, {report.seconds:.1f} s"
    for one in report.damaged:
        yield f"  damaged: {show_text(f'{one.model_id}/{one.path}: {one.actual}')}"
    for name in report.left:
        what = "unfinished downloads, stay" if name == UNFINISHED else "not of the library, stays"
        yield f"  {what}: {show_text(name)}"


def _advice(report: "RelocateReport", setting: "Setting") -> Iterator[str]:
    new, old = show_text(report.new), show_text(report.old)
    if not report.switched:
        yield f"The library is still at {old}. Mend or remove these models and run it again;"
        yield "what is copied already is not copied again. Or take them along: --with-damaged"
        return
    if setting.origin == "default":
        yield f'Next: write library = "{new}" into the config file, or set MODELCELLAR_LIBRARY.'
    else:
        yield f"Next: the library is named by {show_text(setting.origin)}. Name {new} there."
    if report.old_is_kept:
        marked = "kept, and marked as moved" if report.old_is_marked else "kept, and not marked"
        yield f"The old folder is {marked}: {old}"
    if report.has_links:
        yield "Links in applications that lead to the old folder are replaced by: cellar sync"
