"""Which files of a repository are wanted: by globs, by what they are named, by a quantisation.

Globs are those of huggingface_hub's ``allow_patterns`` and ``ignore_patterns``: ``*`` also matches
``/``, ``folder/`` is all below it. A pattern that is the path of a file or of a folder means just
that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from modelcellar.downloads.labels import labelled, labels_of, listed, names_label, projectors
from modelcellar.errors import NotPublishedError
from modelcellar.remotes import RemoteFile

__all__ = ["Selection", "select"]

MOST_NAMED = 5
MOST_SEARCHED = 5000
"""So many names at most are compared with one that matches nothing."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The wanted files, in the order they were listed in; ``notes`` are for people."""

    files: tuple[RemoteFile, ...]
    notes: tuple[str, ...] = ()


def select(
    files: Sequence[RemoteFile],
    *,
    patterns: Sequence[str] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    label: str | None = None,
    repo: str = "REPO",
) -> Selection:
    """The files that are wanted: those that ``label``, a pattern or ``include`` names.

    Where none of these is given, all of them but those that are only for who asks for them; then
    without what ``exclude`` matches. ``repo`` is what to write for the repository, for the notes.

    Raises:
        NotPublishedError: nothing is left, or there is nothing that a pattern or the label means.
    """
    if not files:
        raise NotPublishedError("there are no files", "Look whether it is the right revision.")
    paths = [_slashed(file.path) for file in files]
    wanted: set[str] = set()
    notes: list[str] = []
    if label is not None:
        found = labelled(paths, label)
        wanted.update(found.paths)
        notes.extend(found.notes)
    for pattern in (*patterns, *include):
        wanted.update(_matched(paths, pattern))
    if label is None and not patterns and not include:
        usual = [path for file, path in zip(files, paths, strict=True) if file.is_default]
        wanted.update(usual or paths)
        notes.extend(_on_others(paths, wanted))
    left, unused = _without(paths, wanted, exclude)
    if not left:
        raise NotPublishedError(
            f"all {len(wanted):,} files that were asked for are left out by --exclude",
            "Leave out less.",
        )
    notes.extend(f"--exclude {pattern!r} matches nothing" for pattern in unused)
    notes.extend(_on_projectors(paths, left, exclude, repo))
    if label is not None and not patterns and not include:
        notes.extend(_on_settings(paths, left))
    return Selection(
        tuple(file for file, path in zip(files, paths, strict=True) if path in left), tuple(notes)
    )


def _matched(paths: Sequence[str], pattern: str) -> list[str]:
    """The paths that a pattern means.

    Raises:
        NotPublishedError: there are none.
    """
    pattern = _slashed(pattern)
    found = _matching(paths, pattern)
    if not found:
        hint = _close_to(paths, pattern) or "Without a pattern --dry-run lists all that is there."
        raise NotPublishedError(f"there is nothing that {pattern!r} matches", hint)
    return found


def _matching(paths: Sequence[str], pattern: str) -> list[str]:
    if pattern in paths:
        return [pattern]
    folder = pattern if pattern.endswith("/") else f"{pattern}/"
    below = [path for path in paths if path.startswith(folder)]
    if below:
        return below
    glob = f"{pattern}*" if pattern.endswith("/") else pattern
    return [path for path in paths if fnmatchcase(path, glob)]


def _without(
    paths: Sequence[str], wanted: set[str], exclude: Sequence[str]
) -> tuple[set[str], list[str]]:
    """What is left of ``wanted``, and the patterns that match no path at all."""
    left, unused = set(wanted), []
    for pattern in exclude:
        matches = _matching(paths, _slashed(pattern))
        left.difference_update(matches)
        if not matches:
            unused.append(pattern)
    return left, unused


def _on_others(paths: Sequence[str], wanted: set[str]) -> list[str]:
    """That there are files which nobody gets who does not ask for them."""
    others = [path for path in paths if path not in wanted]
    if not others:
        return []
    more = ", ..." if len(others) > MOST_NAMED else ""
    names = ", ".join(map(repr, others[:MOST_NAMED])) + more
    return [f"there is also {names}; name a file to have it, or '*' for all"]


def _on_projectors(
    paths: Sequence[str], left: set[str], exclude: Sequence[str], repo: str
) -> list[str]:
    """That a projector was not selected, without which a language model sees no pictures."""
    there = projectors(paths)
    has_model = any(path.lower().endswith(".gguf") for path in left.difference(there))
    if not there or not has_model or left.intersection(there):
        return []
    if any(_matching(there, _slashed(pattern)) for pattern in exclude):
        return []
    more = "" if len(there) == 1 else f" (or another of {len(there)})"
    return [f"it also has a projector, for pictures: cellar download {repo} {there[0]!r}{more}"]


def _on_settings(paths: Sequence[str], left: set[str]) -> list[str]:
    """That a label takes the weights alone, where a program wants more than these."""
    if all(path.lower().endswith(".gguf") for path in left):
        return []
    settings = [path for path in paths if path.endswith(".json") and path not in left]
    if not settings:
        return []
    return [f"{len(settings):,} .json files are not taken along; to have them: --include '*.json'"]


def _close_to(paths: Sequence[str], pattern: str) -> str:
    """What may have been meant, as a sentence; empty where nothing is like it."""
    by_name: dict[str, str] = {}
    for path in paths[:MOST_SEARCHED]:
        folder, _, name = path.rpartition("/")
        by_name.setdefault(path.lower(), path)
        by_name.setdefault(name.lower(), path)
        if folder:
            by_name.setdefault(f"{folder.lower()}/", f"{folder}/")
    asked = pattern.lower()
    like = [asked] if asked in by_name else get_close_matches(asked, by_name, n=3, cutoff=0.6)
    close = [by_name[name] for name in like]
    if close:
        return f"Did you mean {' or '.join(map(repr, dict.fromkeys(close)))}?"
    labels = labels_of(paths) if names_label(pattern) else ()
    return f"There are: {listed(labels)}." if labels else ""


def _slashed(path: str) -> str:
    return path.replace("\\", "/")
