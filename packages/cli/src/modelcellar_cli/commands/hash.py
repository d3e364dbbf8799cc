"""``cellar hash``: print or check both digests of files."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from modelcellar.records import ErrorInfo, HashedFile
from modelcellar.reports import Progress
from modelcellar_cli.boundary import ExitCode, describe, report
from modelcellar_cli.checksums import Listed, escape_name, parse_list, tag_lines
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import emit_json, errors_to_json, path_fields, show_text, talk
from modelcellar_cli.progress import ProgressTalk

BAR_FROM_BYTES = 256 << 20


@click.command("hash", cls=CellarCommand)
@click.argument("files", nargs=-1, type=click.Path(), metavar="FILE...")
@click.option(
    "--check",
    "list_file",
    type=click.Path(allow_dash=True),
    metavar="LIST",
    help="Compare with the digests in LIST: the output of this command, with or without --json, "
    'of sha256sum or of b3sum; "-" reads it from standard input. With FILE..., only those.',
)
@click.pass_obj
def command(options: Options, files: tuple[str, ...], list_file: str | None) -> int:
    """Print the BLAKE3 and SHA-256 digests of files, or check them. Needs no library.

    Prints two lines a file in the form that "sha256sum -c" reads. With -q prints only the SHA-256,
    one a line, or with --check only the files that are not as listed. A file that cannot be read
    does not stop the others.

    Exit codes: 0 all done, 3 some could not be read, 1 none could, 6 a digest differs.
    """
    if list_file is not None:
        return check(options, files, list_file)
    if not files:
        raise click.UsageError("Give files, or a list with --check.")
    failures: list[tuple[str, ErrorInfo]] = []
    done = []
    for path, hashed in digests(options, files, failures):
        if hashed is None:
            continue
        done.append(hashed)
        if not options.json:
            only = [hashed.digests.sha256]
            write_names(only if options.quiet else tag_lines(path, hashed.digests))
    if options.json:
        from modelcellar.io.hashing import SHA256_BACKEND

        emit_json(
            {
                "files": [_file_to_json(one) for one in done],
                "errors": errors_to_json(failures),
                "sha256_backend": SHA256_BACKEND,
            }
        )
    if not failures:
        return ExitCode.DONE
    return ExitCode.PARTLY_DONE if done else ExitCode.FAILED


def digests(
    options: Options, paths: Sequence[str], failures: list[tuple[str, ErrorInfo]]
) -> Iterator[tuple[str, HashedFile | None]]:
    """Both digests of files in their order; what keeps one from being read is told and noted."""
    from modelcellar.config import load_settings
    from modelcellar.io.manager import IoManager

    disks = IoManager(load_settings(flags=options.flags())[0].drive)
    # A bar for small files would only flicker.
    sizes = [Path(path).stat().st_size if Path(path).is_file() else 0 for path in paths]
    with ProgressTalk(options) if sum(sizes) >= BAR_FROM_BYTES else nullcontext() as talker:
        done_files = 0

        def count(_number: int, _result: HashedFile | OSError) -> None:
            nonlocal done_files
            done_files += 1

        def show(done: int, total: int) -> None:
            if talker is not None:
                talker(Progress("hash", done_files, len(paths), done, total))

        results = disks.hash_many([Path(path) for path in paths], on_done=count, progress=show)
    for path, result in zip(paths, results, strict=True):
        if isinstance(result, OSError):
            failure = describe(result)
            report(failure, as_json=options.json)
            failures.append((path, failure.info))
            yield path, None
        else:
            yield path, result


def write_names(lines: Iterable[str]) -> None:
    """Write lines that hold file names: as bytes into a pipe, printable on a terminal (like ls)."""
    sys.stdout.flush()
    for line in lines:
        if sys.stdout.isatty():
            sys.stdout.write(show_text(line) + "\n")
        else:
            sys.stdout.buffer.write(os.fsencode(line) + b"\n")


def check(options: Options, files: tuple[str, ...], list_file: str) -> int:
    """Compare files with a checksum list and say for each whether it is as listed."""
    listed, not_understood = parse_list(_read_list(list_file))
    if not listed:
        raise click.ClickException(f"{list_file}: no line of it is a checksum.")
    results: list[dict[str, Any]] = []
    failures: list[tuple[str, ErrorInfo]] = []
    chosen = _chosen(listed, files)
    read = dict(digests(options, [one.path for one in chosen if one.wanted], failures))
    for one in chosen:
        hashed = read.get(one.path)
        status = _status(one, hashed)
        entry = _file_to_json(hashed) if hashed else _unread_to_json(one.path)
        results.append({**entry, "status": status})
        if not (options.json or (options.quiet and status == "ok")):
            write_names([_check_line(one.path, status)])
    if options.json:
        emit_json({"files": results, "errors": errors_to_json(failures)})
    statuses = [entry["status"] for entry in results]
    _say_counts(options, statuses, not_understood)
    return _exit_code(statuses)


def _read_list(list_file: str) -> bytes:
    return sys.stdin.buffer.read() if list_file == "-" else Path(list_file).read_bytes()


def _chosen(listed: tuple[Listed, ...], files: tuple[str, ...]) -> list[Listed]:
    """The listed files, or the given ones as listed; a given one without a digest wants none."""
    if not files:
        return list(listed)
    by_path = {os.path.normpath(one.path): one for one in listed}
    return [by_path.get(os.path.normpath(path), Listed(path, ())) for path in files]


def _status(one: Listed, hashed: HashedFile | None) -> str:
    if not one.wanted:
        return "not_listed"
    if hashed is None:
        return "unreadable"
    return "ok" if one.fits(hashed.digests) else "failed"


def _check_line(path: str, status: str) -> str:
    words = {"ok": "OK", "failed": "FAILED", "unreadable": "FAILED open or read"}
    name = escape_name(path)
    mark = "" if name == path else "\\"
    return f"{mark}{name}: {words.get(status, 'not in the list')}"


def _say_counts(options: Options, statuses: list[str], not_understood: int) -> None:
    counts = [
        (statuses.count("ok"), "as listed"),
        (statuses.count("failed"), "NOT as listed"),
        (statuses.count("unreadable"), "could not be read"),
        (statuses.count("not_listed"), "not in the list"),
        (not_understood, "lines not understood"),
    ]
    talk(options, ", ".join(f"{number:,} {words}" for number, words in counts if number))


def _exit_code(statuses: list[str]) -> ExitCode:
    if "failed" in statuses:
        return ExitCode.VERIFICATION_FAILED
    if set(statuses) == {"ok"}:
        return ExitCode.DONE
    return ExitCode.PARTLY_DONE if "ok" in statuses else ExitCode.FAILED


def _file_to_json(hashed: HashedFile) -> dict[str, Any]:
    return {
        **path_fields("path", hashed.path),
        "size_bytes": hashed.size_bytes,
        "blake3": hashed.digests.blake3,
        "sha256": hashed.digests.sha256,
    }


def _unread_to_json(path: str) -> dict[str, Any]:
    return {**path_fields("path", path), "size_bytes": None, "blake3": None, "sha256": None}
