"""Writes the page on speed from the results of one run: ``python -m benchmarks.publish RESULTS``.

With ``--draft FOLDER`` the page and its charts go there instead of ``docs/``; a trial with small
sizes can be looked at that way, but never published.
"""

import argparse
import functools
import re
import shutil
import sys
from pathlib import Path

from benchmarks import report, results

DOCS = Path(__file__).parents[1] / "docs"
PAGE = "speed.md"


class PublishError(Exception):
    """The results cannot be published; the message says why."""


def fill(page: str, sections: dict[str, str]) -> str:
    """``page`` with the text between each pair of markers replaced.

    Raises:
        PublishError: a marker is missing.
    """
    for name, text in sections.items():
        between = re.compile(rf"(<!-- bench:{name} -->\n).*?(<!-- /bench:{name} -->)", re.DOTALL)
        page, count = between.subn(functools.partial(_between, body=text.strip()), page)
        if count != 1:
            raise PublishError(f"the markers of {name} are not in the page once, but {count} times")
    return page


def _between(found: re.Match[str], body: str) -> str:
    return f"{found[1]}\n{body}\n\n{found[2]}"


def publish(folder: Path, docs: Path, *, draft: bool = False) -> list[Path]:
    """Fill the page in ``docs`` from the results in ``folder``; the files written.

    Raises:
        PublishError: there are no results, or they are those of a trial.
    """
    contests, seeking = results.load(folder)
    if not contests and not seeking:
        raise PublishError(f"no results in {folder}")
    scales = {*(one.scale for one in contests), *(one.scale for one in seeking)}
    if not draft and scales != {1.0}:
        raise PublishError("these are the results of a trial with other sizes (see --draft)")
    sections = {
        "machine": report.machine_table(results.load_machine(folder), contests),
        "bars": report.bars_table(contests, seeking),
        "losses": report.losses(contests, seeking),
        "contests": report.contest_sections(contests),
        "seeking": report.seeking_sections(seeking),
    }
    page = docs / PAGE
    page.write_text(fill(page.read_text(encoding="utf-8"), sections), encoding="utf-8")
    for old in docs.glob("speed-*.svg"):
        old.unlink()
    written = [page]
    for name, drawing in report.charts(contests, seeking).items():
        (docs / name).write_text(drawing, encoding="utf-8")
        written.append(docs / name)
    return written


def main(arguments: list[str] | None = None) -> int:
    """Publish and say what was written; 1 if it could not be."""
    parser = argparse.ArgumentParser(prog="benchmarks.publish", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--draft", type=Path, metavar="FOLDER")
    chosen = parser.parse_args(arguments)
    docs = DOCS
    if chosen.draft is not None:
        docs = chosen.draft
        docs.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(DOCS / PAGE, docs / PAGE)
    try:
        written = publish(chosen.results, docs, draft=chosen.draft is not None)
    except PublishError as error:
        print(f"not published: {error}", file=sys.stderr)
        return 1
    print("\n".join(map(str, written)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
