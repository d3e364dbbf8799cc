"""``cellar show``: all that is known about one model."""

from pathlib import Path

import click

from modelcellar.records import ModelRecord
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    emit_json,
    emit_lines,
    human_size,
    model_to_json,
    path_fields,
    show_text,
)
from modelcellar_cli.session import open_library


@click.command("show", cls=CellarCommand)
@click.argument("model")
@click.pass_obj
def command(options: Options, model: str) -> None:
    """Show all that is known about MODEL: an id, the beginning of one, a name or a digest."""
    with open_library(options) as library:
        found = library.get(model)
        places = [library.file_path(found, file) for file in found.files]
    if options.json:
        emit_json({"model": with_locations(found, places)})
    elif options.quiet:
        emit_lines([show_text(found.id)])
    else:
        emit_lines(details(found, places))


def with_locations(model: ModelRecord, places: list[Path]) -> dict[str, object]:
    """MODEL with the absolute path of every file beside its relative one."""
    shown = model_to_json(model)
    for file, place in zip(shown["files"], places, strict=True):
        file.update(path_fields("location", str(place)))
    return shown


def details(model: ModelRecord, places: list[Path]) -> list[str]:
    """The lines for people; what is not known is left out."""
    identity, security = model.identity, model.security
    origin = (identity.status, identity.provider, identity.repo_id, identity.path)
    pairs = [
        ("id", model.id),
        ("name", model.name),
        ("type", model.type.value),
        ("format", model.format.value),
        ("what it is", model.summary),
        ("base model", model.base_model),
        ("family", model.family),
        ("size", _exact_size(model.size_bytes)),
        ("tags", ", ".join(model.tags)),
        ("added", model.added_at),
        ("verified", model.verified_at or "not since it came in"),
        *([("DAMAGED", f"found {model.damaged_at}; import it again")] if model.damaged_at else []),
        ("origin", " ".join(part for part in origin if part)),
        ("evidence", identity.evidence),
        ("security", "; ".join([security.verdict.replace("_", " "), *security.details])),
    ]
    lines = [f"{title:<12}{show_text(value)}" for title, value in pairs if value]
    for number, line in enumerate(model.note.splitlines()):
        lines.append(f"{'' if number else 'note':<12}{show_text(line)}")
    for file, place in zip(model.files, places, strict=True):
        lines += [
            "",
            f"{'file':<12}{show_text(file.path)}",
            f"{'  size':<12}{_exact_size(file.size_bytes)}",
            f"{'  format':<12}{file.format.value}",
            f"{'  blake3':<12}{file.digests.blake3}",
            f"{'  sha256':<12}{file.digests.sha256}",
            f"{'  lies at':<12}{show_text(str(place))}",
        ]
    return lines


def _exact_size(size_bytes: int) -> str:
    return (
        f"{human_size(size_bytes)} ({size_bytes:,} bytes)"
        if size_bytes > 999
        else f"{size_bytes} B"
    )
