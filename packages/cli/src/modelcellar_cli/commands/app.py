"""``cellar app``: the applications that are given links."""

from collections import Counter
from pathlib import Path

import click

from modelcellar_cli.linking import app_to_json, exit_code_of, report_to_json, show_report
from modelcellar_cli.options import CellarCommand, CommonOptions, Options
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    emit_table,
    entry_to_json,
    show_text,
    talk,
)
from modelcellar_cli.session import open_library
from modelcellar_cli.tables import Column

LINKS = ["auto", "hardlink", "symlink", "reflink", "copy"]
COLUMNS = (
    Column("NAME"),
    Column("PRESET"),
    Column("LINK"),
    Column("LINKS", right=True),
    Column("ONLY", cut_order=1),
    Column("FOLDER", cut_order=2),
)


class AppGroup(CommonOptions, click.Group):
    """The verbs about applications."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs before the options."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)


@click.group("app", cls=AppGroup)
def command() -> None:
    """Add, list and remove the applications that are given links."""


@command.command("add", cls=CellarCommand)
@click.argument("name")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--preset", metavar="PRESET", help="How it wants its models (else that of its NAME).")
@click.option(
    "--link",
    type=click.Choice(LINKS),
    default="auto",
    metavar="KIND",
    help="auto (the default: the best that the preset allows and the disks can do), hardlink, "
    "symlink, reflink or copy.",
)
@click.option("--only", default="", metavar="QUERY", help="Only models that this search finds.")
@click.option(
    "--folder",
    "folders",
    multiple=True,
    metavar="TYPE=FOLDER",
    help="Another folder for a type of model, inside DIR; nothing after = gives it none.",
)
@click.option("--dry-run", is_flag=True, help="Check, and change nothing.")
@click.pass_obj
def add(
    options: Options,
    name: str,
    folder: Path | None,
    preset: str | None,
    link: str,
    only: str,
    folders: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Add an application that is given links, or change what is said of it.

    NAME is what it is called from now on, DIR its folder; without it the usual places are tried.
    Nothing is linked before "cellar sync". With -q prints the name.
    """
    from modelcellar.link_records import LinkKind

    with open_library(options) as library:
        report = library.applications.add(
            name,
            folder,
            preset=preset,
            link=None if link == "auto" else LinkKind(link),
            only=only,
            folders=dict(map(_type_and_folder, folders)),
            dry_run=dry_run,
        )
    if options.json:
        entry = None if report.entry is None else entry_to_json(report.entry)
        document = {"apps": [app_to_json(report.app)], "hazards": list(report.hazards)}
        emit_json({**document, "entry": entry, "dry_run": dry_run})
    elif options.quiet:
        emit_lines([show_text(report.app.name)])
    else:
        verb = "would add" if dry_run else "added"
        place = show_text(str(report.app.root))
        emit_lines([f"{verb} {show_text(report.app.name)} ({report.title}) at {place}"])
        for hazard in report.hazards:
            talk(options, show_text(f"note: {hazard}"))
        talk(options, "See what it would be given: cellar plan    Do it: cellar sync")


@command.command("list", cls=CellarCommand)
@click.pass_obj
def list_(options: Options) -> None:
    """List the applications that are given links. With -q prints their names."""
    with open_library(options) as library:
        apps = library.applications.list()
        numbers = Counter(one.link.app for one in library.applications.links()) if apps else {}
    if options.json:
        emit_json({"apps": [app_to_json(app) | {"links": numbers[app.name]} for app in apps]})
    elif options.quiet:
        emit_lines(show_text(app.name) for app in apps)
    else:
        rows = [
            [
                show_text(app.name),
                show_text(app.preset),
                "auto" if app.link is None else app.link.value,
                f"{numbers[app.name]:,}",
                show_text(app.only or "-"),
                show_text(str(app.root)),
            ]
            for app in apps
        ]
        if rows:
            emit_table(COLUMNS, rows)
        talk(options, counted(len(apps), "application"))


@command.command("remove", cls=CellarCommand)
@click.argument("name")
@click.option("--forget", is_flag=True, help="Also if its folder was deleted and is not there.")
@click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
@click.pass_obj
def remove(options: Options, name: str, forget: bool, dry_run: bool) -> int:
    """Take an application's links and empty folders of ours away, and forget it.

    What is not ours stays as it is. With -q prints the ids of the models whose links went.
    """
    with open_library(options) as library:
        report = library.applications.remove(name, forget=forget, dry_run=dry_run)
    if options.json:
        emit_json(report_to_json(report))
    else:
        show_report(options, report, every=dry_run)
        if not dry_run:
            talk(options, "Take it back: cellar undo")
    return exit_code_of(report)


def _type_and_folder(text: str) -> tuple[str, str]:
    from modelcellar.records import ModelType

    kind, is_given, folder = text.partition("=")
    if not is_given or kind not in {one.value for one in ModelType}:
        known = ", ".join(one.value for one in ModelType)
        raise click.UsageError(f"{text!r} is not TYPE=FOLDER; types are {known}")
    return kind, folder
