"""``cellar lookup``: where a file, a digest or a model of the library is from."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.findings import line
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.origins import match_to_json, talk_of_pending, talk_of_wait
from modelcellar_cli.output import emit_json, emit_lines, error_to_json, show_text
from modelcellar_cli.session import open_library

if TYPE_CHECKING:
    from modelcellar.origins import Match
    from modelcellar.reports import LookupReport

SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
SHOWN_FACTS = (
    *("author", "license", "base_model", "pipeline_tag", "trigger_words", "gated", "scan"),
    *("tags", "description"),
)
MODEL_ENDINGS = {".safetensors", ".gguf", ".ckpt", ".pt", ".pth", ".bin", ".onnx"}
TITLES = {"base_model": "made from", "pipeline_tag": "task", "trigger_words": "triggers"}
PLAIN_STATUS = {"verified": "proved", "claimed": "said by another tool", "candidate": "maybe"}


@click.command("lookup", cls=CellarCommand)
@click.argument("target")
@click.option("--refresh", is_flag=True, help="Ask the hosts again, whatever is remembered.")
@click.pass_obj
def command(options: Options, target: str, refresh: bool) -> int:
    """Tell where TARGET is from: a file, a SHA-256, or a model of the library.

    An answer is proved only if a digest of ours equals one that is published there; a name that
    fits is a maybe. What was ever listed is found without the network. Names and digests are sent
    to the Hub, Civitai and CivArchive, never files; see --offline. With -q prints the addresses of
    what is proved.

    Exit codes: 0 found something, 5 found nothing, 9 found nothing and a host could not be asked.
    """
    report = _look_up(options, target, refresh)
    if options.json:
        emit_json(
            {
                "target": report.target,
                "matches": [match_to_json(match) for match in report.matches],
                "pending": error_to_json(report.pending),
            }
        )
    elif options.quiet:
        proved = (match.url for match in report.matches if match.status == "verified")
        emit_lines(show_text(url) for url in proved if url)
    else:
        _show(report)
    if report.pending is not None:
        talk_of_pending(options, report.pending)
    if report.matches:
        return ExitCode.DONE
    return ExitCode.NOT_FOUND if report.pending is None else ExitCode.UNAVAILABLE


def _look_up(options: Options, target: str, refresh: bool) -> "LookupReport":
    from modelcellar.config import load_settings
    from modelcellar.lookups import lookup_digest, lookup_file

    settings, _ = load_settings(flags=options.flags())
    on_wait = talk_of_wait(options)
    if Path(target).is_file():
        return lookup_file(Path(target), settings, refresh=refresh, on_wait=on_wait)
    _refuse_what_is_no_file(Path(target))
    if SHA256.fullmatch(target):
        return lookup_digest(target.lower(), settings, refresh=refresh, on_wait=on_wait)
    with open_library(options) as library:
        return library.lookup(target, refresh=refresh, on_wait=on_wait)


def _refuse_what_is_no_file(path: Path) -> None:
    """A path that is a mistake must not be taken for the name of a model."""
    import errno
    import os

    from modelcellar.errors import UsageError

    if path.exists():
        what = "a folder" if path.is_dir() else "no regular file"
        raise UsageError(f"{path} is {what}", "Give a file, a SHA-256 or a model of the library.")
    if len(path.parts) > 1 or path.suffix in MODEL_ENDINGS:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _show(report: "LookupReport") -> None:
    if not report.matches:
        emit_lines([f"{show_text(report.target)}: nobody who was asked knows it"])
    for number, match in enumerate(report.matches):
        emit_lines([""] if number else [])
        emit_lines(line(title, value) for title, value in _pairs(match) if value)


def _pairs(match: "Match") -> list[tuple[str, str]]:
    place = " ".join(part for part in (match.repo_id, match.path) if part)
    found = [
        ("origin", f"{PLAIN_STATUS.get(match.status, match.status)}: {match.provider} {place}"),
        ("why", match.evidence),
        ("revision", match.revision or ""),
        ("page", match.url or ""),
        ("asked", f"{match.fetched_at}, may have changed" if match.is_stale else ""),
    ]
    for name in SHOWN_FACTS:
        value = match.facts.get(name)
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
        found.append((TITLES.get(name, name), text))
    return found
