"""``cellar dedupe``: find equal files and give their space back."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelcellar.link_records import LinkKind
from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    error_lines,
    error_to_json,
    errors_to_json,
    human_size,
    path_fields,
    show_text,
    talk,
)
from modelcellar_cli.progress import ProgressTalk
from modelcellar_cli.session import open_library

if TYPE_CHECKING:
    from modelcellar.dedupe_records import DedupeAction, DedupeGroup, DedupeReport

HARD_LINKED_FROM_BYTES = 64_000
LINKS = [LinkKind.REFLINK.value, LinkKind.HARDLINK.value]


@click.command("dedupe", cls=CellarCommand)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="DIR...")
@click.option(
    "--apply/--dry-run",
    default=False,
    help="Do it, or only show what would be done (the default).",
)
@click.option(
    "--link",
    type=click.Choice(LINKS),
    default=LinkKind.REFLINK.value,
    help="reflink (the default): every file stays a file of its own, and equal ones share their "
    "data; hardlink: equal files become one file with several names, and a program that writes "
    "into one writes into all.",
)
@click.option(
    "--min-size",
    metavar="SIZE",
    help="Pass over smaller files; with hardlink 64 kB by default, since small files are texts "
    "that people change.",
)
@click.option("--undo", "undo_last", is_flag=True, help="Take the hard links of a run back.")
@click.pass_obj
def command(
    options: Options,
    paths: tuple[Path, ...],
    apply: bool,
    link: str,
    min_size: str | None,
    undo_last: bool,
) -> int:
    """Find equal files below DIR... and show what space they could give back; --apply does it.

    Files are equal when all their bytes are: what has the same size and the same beginning and end
    is read to the end, and compared once more when it is changed. Where there is a library, its
    file is the one that is kept. Without one this works as well. Links are not followed. With -q
    prints the paths of the files that would be changed, or were.

    Exit codes: 0 done, 3 something could not be read or changed.
    """
    if undo_last == bool(paths) or (undo_last and apply):
        raise click.UsageError("Give folders to look through, or --undo alone.")
    if undo_last:
        return _undo(options)
    report = _run(options, paths, LinkKind(link), apply=apply, min_size=min_size)
    if options.json:
        emit_json(_report_to_json(report))
    elif options.quiet:
        changed = [one for one in _actions(report) if one.action.value in ("share", "link")]
        emit_lines(show_text(str(name)) for one in changed for name in _names(one))
    else:
        _show(options, report)
    failed = any(one.error is not None for one in _actions(report))
    return ExitCode.PARTLY_DONE if failed or report.problems else ExitCode.DONE


def _run(
    options: Options, paths: tuple[Path, ...], link: LinkKind, *, apply: bool, min_size: str | None
) -> "DedupeReport":
    from modelcellar.config import load_settings, parse_size
    from modelcellar.dedupe import DedupeOptions, dedupe_folders
    from modelcellar.errors import LibraryNotFoundError

    min_bytes = 1 if link is LinkKind.REFLINK else HARD_LINKED_FROM_BYTES
    if min_size is not None:
        min_bytes = parse_size(min_size)
    with ProgressTalk(options) as told:
        try:
            with open_library(options) as library:
                return library.dedupe(
                    paths, link=link, apply=apply, min_bytes=min_bytes, progress=told
                )
        except LibraryNotFoundError:
            settings, _ = load_settings(flags=options.flags())
            how = DedupeOptions(link, apply, min_bytes)
            return dedupe_folders(paths, how, drives=settings.drive, on_progress=told)


def _undo(options: Options) -> int:
    from modelcellar.dedupe import take_last_back

    back, foreign = take_last_back()
    if options.json:
        emit_json(
            {
                "back": [path_fields("path", str(path)) for path in back],
                "not_ours": [path_fields("path", str(path)) for path in foreign],
            }
        )
    elif options.quiet:
        emit_lines(show_text(str(path)) for path in back)
    else:
        emit_lines(f"a file of its own again: {show_text(str(path))}" for path in back)
        emit_lines(f"left, something else is there now: {show_text(str(path))}" for path in foreign)
    return ExitCode.DONE


def _actions(report: "DedupeReport") -> "list[DedupeAction]":
    return [one for group in report.groups for one in group.actions]


def _names(one: "DedupeAction") -> tuple[Path, ...]:
    return one.file.names or one.file.library_names


def _report_to_json(report: "DedupeReport") -> dict[str, Any]:
    return {
        "plan": {
            "groups": [_group_to_json(group) for group in report.groups],
            "reclaims_bytes": report.reclaims_bytes,
        },
        "files": report.files,
        "bytes_read": report.bytes_read,
        "errors": errors_to_json((str(path), error) for path, error in report.problems),
        "applied": report.is_applied,
        "entry_id": report.entry_id,
        "seconds": report.seconds,
    }


def _group_to_json(group: "DedupeGroup") -> dict[str, Any]:
    return {
        "size_bytes": group.size_bytes,
        "blake3": group.digests.blake3 if group.digests is not None else None,
        "sha256": group.digests.sha256 if group.digests is not None else None,
        "keep": path_fields("path", str(group.keep.path)),
        "actions": [
            {
                "action": one.action.value,
                "files": [path_fields("path", str(name)) for name in _names(one)],
                "reclaims_bytes": one.reclaims_bytes,
                "reason": one.reason or None,
                "error": error_to_json(one.error),
            }
            for one in group.actions
        ],
    }


def _show(options: Options, report: "DedupeReport") -> None:
    for group in report.groups:
        emit_lines([f"{human_size(group.size_bytes)}  keep    {show_text(str(group.keep.path))}"])
        indent = " " * len(human_size(group.size_bytes))
        for one in group.actions:
            for name in _names(one):
                emit_lines([f"{indent}  {one.action.value:<6}  {show_text(str(name))}"])
            if one.reason:
                emit_lines([f"{indent}          {one.reason}"])
            if one.error is not None:
                emit_lines(f"{indent}          {text}" for text in error_lines(one.error))
    for path, error in report.problems:
        emit_lines([f"not looked at: {show_text(str(path))}: {show_text(error.message)}"])
    emit_lines([_summary(report)])
    is_open = any(one.action.value in ("share", "link") for one in _actions(report))
    if not report.is_applied and is_open:
        talk(options, "Nothing was changed. Run it with --apply to do it.")
    elif report.entry_id is not None:
        talk(options, "Take it back: cellar undo, or without a library: cellar dedupe --undo")


def _summary(report: "DedupeReport") -> str:
    verb = "gave back" if report.is_applied else "would give back"
    return (
        f"{counted(report.files, 'file')}, {counted(len(report.groups), 'set')} of equal ones, "
        f"{verb} {human_size(report.reclaims_bytes)}; {human_size(report.bytes_read)} read "
        f"in {report.seconds:.1f} s"
    )
