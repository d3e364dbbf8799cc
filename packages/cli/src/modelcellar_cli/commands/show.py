"""``cellar show``: all that is known about one model."""

from pathlib import Path

import click

from modelcellar.records import FileRecord, ModelRecord
from modelcellar_cli.findings import finding_lines, line, security_lines
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    emit_json,
    emit_lines,
    human_size,
    model_to_json,
    path_fields,
    short_hashes,
    show_text,
)
from modelcellar_cli.session import open_library


@click.command("show", cls=CellarCommand)
@click.argument("model")
@click.option("-v", "--verbose", is_flag=True, help="Everything known, each with its evidence.")
@click.pass_obj
def command(options: Options, model: str, verbose: bool) -> None:
    """Show what is known about MODEL: an id, the beginning of one, a name or a digest."""
    with open_library(options) as library:
        found = library.get(model)
        same = library.same_tensors(found)
        places = [library.file_path(found, file) for file in found.files]
    if options.json:
        emit_json({"model": {**with_locations(found, places), "same_tensors": same}})
    elif options.quiet:
        emit_lines([show_text(found.id)])
    else:
        emit_lines(details(found, places, same, verbose=verbose))


def with_locations(model: ModelRecord, places: list[Path]) -> dict[str, object]:
    """MODEL with the absolute path of every file beside its relative one."""
    shown = model_to_json(model)
    for file, place in zip(shown["files"], places, strict=True):
        file.update(path_fields("location", str(place)))
    return shown


def details(model: ModelRecord, places: list[Path], same: list[str], *, verbose: bool) -> list[str]:
    """The lines for people; what is not known is left out."""
    identity = model.identity
    origin = (identity.status, identity.provider, identity.repo_id, identity.path)
    pairs = [
        ("id", model.id),
        ("name", model.name),
        ("what it is", model.summary),
        *([("type", "unknown")] if "type" not in model.findings else []),
    ]
    more = [
        ("format", model.format.value),
        ("size", _exact_size(model.size_bytes)),
        ("tags", ", ".join(model.tags)),
        ("added", model.added_at),
        ("verified", model.verified_at or "not since it came in"),
        *([("DAMAGED", f"found {model.damaged_at}; import it again")] if model.damaged_at else []),
        ("same weights", ", ".join(same)),
        ("origin", " ".join(part for part in origin if part)),
        ("evidence", identity.evidence),
    ]
    lines = [line(title, value) for title, value in pairs if value]
    lines += finding_lines(model.findings, verbose=verbose)
    lines += [line(title, value) for title, value in more if value]
    lines += security_lines(model.security)
    for number, text in enumerate(model.note.splitlines()):
        lines.append(line("" if number else "note", text))
    for file, place in zip(model.files, places, strict=True):
        lines += ["", *_file_lines(file, place)]
    return lines


def _file_lines(file: FileRecord, place: Path) -> list[str]:
    pairs = [
        ("companion" if file.is_companion else "file", file.path),
        ("  size", _exact_size(file.size_bytes)),
        ("  format", file.format.value),
        ("  blake3", file.digests.blake3 if file.digests else "not read yet"),
        ("  sha256", file.digests.sha256 if file.digests else "not read yet"),
        ("  claimed", _claim(file)),
        ("  tensors", file.tensor_sha256),
        ("  short", ", ".join(f"{name} {value}" for name, value in short_hashes(file).items())),
        ("  lies at", str(place)),
    ]
    return [line(title, value) for title, value in pairs if value]


def _claim(file: FileRecord) -> str:
    """What another tool says the SHA-256 is, and whether it was right where that is known."""
    if file.claimed_sha256 is None:
        return ""
    told = f"sha256 {file.claimed_sha256} by {file.claimed_by or 'another tool'}"
    if file.digests is None:
        return f"{told}, not checked yet"
    is_right = file.digests.sha256 == file.claimed_sha256
    return f"{told}, {'which is right' if is_right else 'WHICH IS WRONG'}"


def _exact_size(size_bytes: int) -> str:
    return (
        f"{human_size(size_bytes)} ({size_bytes:,} bytes)"
        if size_bytes > 999
        else f"{size_bytes} B"
    )
