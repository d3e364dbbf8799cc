"""``cellar export``: which models there are, as a file for another machine."""

import sys
from pathlib import Path

import click

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
from modelcellar_cli.session import open_library


@click.command("export", cls=CellarCommand)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.pass_obj
def command(options: Options, file: Path | None) -> None:
    """Write down which models there are, where they are from and what you say of them.

    The digests, sources, tags and notes go to FILE, or to standard output, as JSON; the models
    themselves do not. "cellar restore FILE" brings it to another library. The same set is the same
    bytes. With -q prints the content digests.
    """
    from modelcellar.model_set import decode_set, encode_set

    with open_library(options) as library:
        found = library.export()
        unread = library.totals()[0] - len(found.models)
    data = encode_set(found)
    size_bytes = sum(model.size_bytes for model in found.models)
    if file is None:
        sys.stdout.write(data.decode())
        return
    if file.exists():
        decode_set(file.read_bytes(), str(file))  # nothing else is ever written over
    _replace(file, data)
    if options.json:
        models = len(found.models)
        emit_json({**path_fields("path", str(file)), "models": models, "size_bytes": size_bytes})
    elif options.quiet:
        emit_lines(sorted(model.content_digest for model in found.models))
    else:
        what = f"{counted(len(found.models), 'model')}, {human_size(size_bytes)}"
        emit_lines([f"{show_text(str(file))}: {what} by their digests"])
        if unread:
            left_out = f"{counted(unread, 'model')} that nobody has read yet"
            talk(options, f"Without {left_out}; make their digests: cellar adopt --finish")
        unknown = sum(not model.sources for model in found.models)
        if unknown:
            talk(options, f"Of {counted(unknown, 'model')} nobody knows the source: cellar enrich")
        talk(options, "On the other machine: cellar restore FILE, with --from DIR for the files")


def _replace(file: Path, data: bytes) -> None:
    from modelcellar.io import hashing
    from modelcellar.io.trees import write_file

    staged = file.with_name(f".{file.name}.partial")
    try:
        hashing.publish([(write_file(staged, data), file)], replace=True)
    finally:
        staged.unlink(missing_ok=True)
