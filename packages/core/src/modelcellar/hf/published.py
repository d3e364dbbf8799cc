"""Reads all files of a repository for a download: none may be lost without a word.

Look-ups leave out what makes no sense; who wants the whole has to be told. Two answers list files:
``siblings`` of ``GET /api/models/{id}?blobs=true``, and the pages of ``.../tree``
(``huggingface_hub/hf_api.py``: ``RepoSibling``, ``RepoFile``).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from modelcellar import naming
from modelcellar.answers.reading import dict_in
from modelcellar.hf.repositories import issues_in
from modelcellar.origins import RepoFile
from modelcellar.records import JsonValue

__all__ = ["files_of_page", "files_of_siblings", "keepable", "with_scans"]

DEPENDABLE_SIBLINGS = 50_000
"""From so many on the Hub is known to list some of them only, and its client asks for the tree."""
_OUTSIDE = frozenset({"absolute", "root_relative", "unc", "dot_part"})
_GIT_SHA1 = re.compile(r"[0-9a-f]{40}")


def files_of_siblings(document: JsonValue) -> tuple[RepoFile, ...] | None:
    """The files that a repository's description lists; ``None`` where that may not be all."""
    siblings = dict_in(document).get("siblings")
    if not isinstance(siblings, list) or not 0 < len(siblings) < DEPENDABLE_SIBLINGS:
        return None
    files = [_file(one.get("rfilename"), one, "blobId") for one in map(dict_in, siblings)]
    found = tuple(file for file in files if file is not None)
    return found if len(found) == len(files) else None


def files_of_page(document: JsonValue) -> tuple[RepoFile, ...]:
    """The files of one page of a tree; folders are none.

    Raises:
        ValueError: it is no such page, or does not tell what a file has to turn out to be.
    """
    if not isinstance(document, list):
        raise ValueError("it is no list")
    found = []
    for entry in map(dict_in, document):
        if entry.get("type") == "directory":
            continue
        file = _file(entry.get("path"), entry, "oid")
        if file is None:
            path = naming.display(str(entry.get("path"))[:200])
            raise ValueError(f"it does not tell size and digest of {path!r}")
        found.append(file)
    return tuple(found)


def with_scans(files: Iterable[RepoFile], document: JsonValue) -> tuple[RepoFile, ...]:
    """The files, each with what the scanners say of it in the repository's description."""
    issues = issues_in(dict_in(document))
    if issues is None:
        return tuple(files)
    return tuple(replace(file, scan=issues.get(file.path, "safe")) for file in files)


def keepable(
    files: Sequence[RepoFile],
) -> tuple[tuple[RepoFile, ...], tuple[tuple[str, str], ...]]:
    """The files that can have their path on every platform; the others' paths, with the reasons.

    Raises:
        ValueError: a path leads out of its folder, or is that of two files.
    """
    good: dict[str, RepoFile] = {}
    left_out = []
    for file in files:
        problems = naming.relative_path_problems(file.path)
        if any(problem.code in _OUTSIDE for problem in problems):
            raise ValueError(f"{naming.display(file.path[:200])!r} leads out of its folder")
        if problems:
            left_out.append((file.path, problems[0].reason))
        elif good.setdefault(file.path, file) != file:
            raise ValueError(f"{naming.display(file.path[:200])!r} is listed as two files")
    return tuple(good.values()), tuple(left_out)


def _file(path: JsonValue, entry: Mapping[str, JsonValue], oid: str) -> RepoFile | None:
    """One file; ``None`` unless its path, its size and what proves it are told.

    With an LFS object the git name is that of a pointer, and says nothing of the content.
    """
    lfs = entry.get("lfs")
    told = dict_in(lfs)
    size = told.get("size", entry.get("size"))
    if not isinstance(path, str) or type(size) is not int or size < 0:
        return None
    if lfs is None:
        git_sha1 = str(entry.get(oid)).lower()
        return RepoFile(path, size, git_sha1=git_sha1) if _GIT_SHA1.fullmatch(git_sha1) else None
    sha256 = str(told.get("sha256") or told.get("oid")).lower()
    return RepoFile(path, size, sha256=sha256) if naming.is_digest(sha256) else None
