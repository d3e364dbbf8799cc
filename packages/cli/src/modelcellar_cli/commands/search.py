"""``cellar search``: find models by words and fields."""

import shlex

import click

from modelcellar.reports import SearchReport
from modelcellar_cli.found import emit_found, facet_lines, report_to_json
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    show_text,
    talk,
)
from modelcellar_cli.session import open_library


@click.command("search", cls=CellarCommand)
@click.argument("query", nargs=-1, required=True, metavar="QUERY...")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    metavar="N",
    help="At most N models, the best first (20 unless told).",
)
@click.option(
    "--offset",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Leave out the first N: the next page.",
)
@click.option("--facets", is_flag=True, help="Count what was found by type, base and format too.")
@click.pass_obj
def command(
    options: Options, query: tuple[str, ...], limit: int, offset: int, *, facets: bool
) -> None:
    """Find models by words and fields; all of them must fit.

    The last word may be unfinished. "not word" leaves models out, "or" between words takes either;
    a query that begins with a minus stands behind "--".

    \b
    type:lora,vae format:gguf     what it is, as "cellar list --help" names it
    base:sdxl family:flux         what it is made for
    quant:q4_k_m license:apache   how it is packed, what it may be used for
    tag:anime author:city96       what people say, and who made it
    source:civitai hash:ab12cd    where it is from; the beginning of a digest
    size>4GB params<=8B           decimal units; GiB is binary
    added:<30d verified:no        ages (h d w m y), days (added>2026-01-31)
    is:broken is:duplicate        is:pending: not looked up yet
    app:comfyui is:unused         linked there; linked nowhere
    path:unet/ sort:size-         sort by name, size, added, params, verified

    \b
    cellar search flux dev "size<10GB" not type:lora
    cellar search type:lora sort:added-
    """
    with open_library(options) as library:
        report = library.search(" ".join(query), limit=limit, offset=offset, facets=facets)
    if options.json:
        emit_json(report_to_json(report, facets=facets))
        return
    _show(options, report, limit=limit, offset=offset)


def _show(options: Options, report: SearchReport, *, limit: int, offset: int) -> None:
    if options.quiet:
        emit_lines(show_text(model.id) for model in report.models)
        return
    for note in report.notes:
        talk(options, f"note: {show_text(note)}")
    if report.models:
        emit_found(report)
    if report.facets:
        emit_lines(["", *facet_lines(report.facets)])
    shown, total = len(report.models), report.total
    if not shown and offset:
        talk(options, f"{counted(total, 'model')}; none after the first {offset:,}")
    elif shown == total:
        talk(options, counted(shown, "model"))
    elif offset:
        talk(options, f"showing {offset + 1:,}-{offset + shown:,} of {total:,}")
    else:
        talk(options, f"{counted(shown, 'model')} of {total:,}")
    if report.did_you_mean is not None:
        talk(options, f"did you mean: {show_text(report.did_you_mean)}")
    if shown and offset + shown < total:
        words = shlex.quote(show_text(report.query))
        size = "" if limit == 20 else f" --limit {limit}"
        talk(options, f"next page: cellar search --offset {offset + shown}{size} -- {words}")
