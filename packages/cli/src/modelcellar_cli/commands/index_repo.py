"""``cellar index-repo``: remember the digests of repositories, to know their files offline."""

from typing import TYPE_CHECKING

import click

from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.origins import talk_of_pending, talk_of_wait
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    emit_table,
    error_to_json,
    show_text,
    talk,
)
from modelcellar_cli.tables import Column

if TYPE_CHECKING:
    from modelcellar.records import ErrorInfo
    from modelcellar.reports import IndexReport

COLUMNS = (Column("REPOSITORY", cut_order=1), Column("FILES", right=True), Column("COMMIT"))


@click.command("index-repo", cls=CellarCommand)
@click.argument("names", nargs=-1, required=True, metavar="AUTHOR_OR_REPO...")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many repositories of an author.",
)
@click.pass_obj
def command(options: Options, names: tuple[str, ...], limit: int) -> int:
    """Fetch what is in repositories of the Hub, so that their files are known without it.

    AUTHOR takes in that author's repositories, the most downloaded first, AUTHOR/NAME one. A call
    of the Hub's quota is made for each. Nothing is downloaded but names, sizes and digests, and no
    library is needed. With -q prints the names of the repositories.

    Exit codes: 0 all taken in, 3 some, 4 the Hub wants to know who asks, 5 there was nothing by
    these names, 9 the Hub could not be asked.
    """
    from modelcellar.config import load_settings
    from modelcellar.lookups import index_repositories

    settings, _ = load_settings(flags=options.flags())
    names = tuple(_name_in(text, settings.hub_endpoint) for text in names)
    report = index_repositories(names, settings, limit=limit, on_wait=talk_of_wait(options))
    if options.json:
        emit_json(_to_json(report))
    elif options.quiet:
        emit_lines(show_text(one.repo_id) for one in report.listings)
    else:
        rows = [[one.repo_id, f"{len(one.files):,}", one.commit[:12]] for one in report.listings]
        emit_table(COLUMNS, [[show_text(text) for text in row] for row in rows])
        emit_lines(["", f"{counted(report.known_files, 'file')} known by digest in all"])
    for name in report.missing:
        talk(options, f"nothing to be seen by the name {show_text(name)}")
    if report.missing:
        talk(options, "  What is private is seen with a token: hf auth login, or HF_TOKEN")
    if report.pending is not None:
        talk_of_pending(options, report.pending)
    if not report.listings:
        return _nothing(report.pending)
    return ExitCode.PARTLY_DONE if report.missing or report.pending else ExitCode.DONE


def _nothing(pending: "ErrorInfo | None") -> ExitCode:
    """Why nothing was taken in."""
    if pending is None:
        return ExitCode.NOT_FOUND
    is_gated = pending.code == "sign_in_needed"
    return ExitCode.SIGN_IN_NEEDED if is_gated else ExitCode.UNAVAILABLE


def _name_in(text: str, endpoint: str) -> str:
    """The author or repository that is meant: people paste addresses."""
    from modelcellar.errors import UsageError
    from modelcellar.naming import is_repo_id

    name = text.removeprefix(f"{endpoint}/").strip("/")
    if not is_repo_id(name, bare=True):
        raise UsageError(
            f"{text!r} is neither an author nor a repository", "Write for example google/gemma-2b."
        )
    return name


def _to_json(report: "IndexReport") -> dict[str, object]:
    return {
        "repositories": [
            {"repo_id": one.repo_id, "commit": one.commit, "files": len(one.files)}
            for one in report.listings
        ],
        "missing": list(report.missing),
        "known_files": report.known_files,
        "pending": error_to_json(report.pending),
    }
