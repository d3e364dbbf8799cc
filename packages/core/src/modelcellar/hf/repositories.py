"""Reads what the Hub answers about a repository. Every field may be missing, wrong or hostile.

Fields: ``huggingface_hub/hf_api.py`` (``ModelInfo``, ``RepoSibling``) and the Hub's OpenAPI file.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from modelcellar import naming
from modelcellar.answers.reading import dict_in, text_in, texts_in
from modelcellar.origins import Listing, RepoFile
from modelcellar.records import JsonValue

__all__ = ["FoundRepo", "Repository", "found_repos", "issues_in", "repository"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_WORDS_OF_TAGS = ("license:", "base_model:", "region:", "arxiv:", "dataset:", "doi:")


@dataclass(frozen=True, slots=True)
class FoundRepo:
    """One repository that a search named, and the paths of its files."""

    repo_id: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one commit: its files with their digests, and what its card says.

    ``is_stale``: the Hub could not be asked again since this grew old.
    """

    listing: Listing
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    has_card: bool = False
    is_stale: bool = False


def found_repos(document: JsonValue) -> tuple[FoundRepo, ...]:
    """The repositories of an answer of ``GET /api/models``, in its order."""
    found = []
    for entry in document if isinstance(document, list) else []:
        repo_id = dict_in(entry).get("id") or dict_in(entry).get("modelId")
        if isinstance(repo_id, str) and naming.is_repo_id(repo_id, bare=True):
            siblings = dict_in(entry).get("siblings")
            found.append(FoundRepo(repo_id, tuple(path for path, _ in _siblings(siblings))))
    return tuple(found)


def repository(document: JsonValue, *, fetched_at: str) -> Repository | None:
    """The repository of an answer of ``GET /api/models/{id}?blobs=true``; ``None`` if it is none.

    The key of a digest is ``lfs.sha256`` here and ``lfs.oid`` in other answers.
    """
    entry = dict_in(document)
    repo_id, commit = entry.get("id"), entry.get("sha")
    if not isinstance(repo_id, str) or not naming.is_repo_id(repo_id, bare=True):
        return None
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        return None
    issues = issues_in(entry)
    files = [_file(path, sibling, issues) for path, sibling in _siblings(entry.get("siblings"))]
    listing = Listing(repo_id, commit, tuple(one for one in files if one), fetched_at)
    paths = {file.path for file in listing.files}
    return Repository(listing, _facts(entry), "README.md" in paths)


def _siblings(siblings: JsonValue) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
    for sibling in siblings if isinstance(siblings, list) else []:
        path = dict_in(sibling).get("rfilename")
        # A path that leads out of its folder is nobody's file.
        if isinstance(path, str) and not naming.relative_path_problems(path):
            yield path, dict_in(sibling)


def _file(
    path: str, sibling: Mapping[str, JsonValue], issues: Mapping[str, str] | None
) -> RepoFile | None:
    lfs = dict_in(sibling.get("lfs"))
    sha256 = lfs.get("sha256") or lfs.get("oid")
    size = lfs.get("size", sibling.get("size"))
    git_sha1 = sibling.get("blobId")
    if type(size) is not int or size < 0:
        return None
    return RepoFile(
        path,
        size,
        sha256=sha256 if isinstance(sha256, str) and naming.is_digest(sha256) else None,
        # With an LFS object this is the name of a pointer, and says nothing of the content.
        git_sha1=git_sha1
        if not lfs and isinstance(git_sha1, str) and _COMMIT.fullmatch(git_sha1)
        else None,
        scan=None if issues is None else issues.get(path, "safe"),
    )


def issues_in(entry: Mapping[str, JsonValue]) -> dict[str, str] | None:
    """What the Hub's scanners found, by path; ``None`` as long as they are not done."""
    status = dict_in(entry.get("securityRepoStatus"))
    if status.get("scansDone") is not True:
        return None
    issues = status.get("filesWithIssues")
    entries = [dict_in(issue) for issue in issues] if isinstance(issues, list) else []
    return {str(one.get("path")): text_in(one.get("level")) or "unsafe" for one in entries}


def _facts(entry: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    card = dict_in(entry.get("cardData"))
    tags = [tag for tag in texts_in(entry.get("tags")) if not tag.startswith(_WORDS_OF_TAGS)]
    licenses = [tag[8:] for tag in texts_in(entry.get("tags")) if tag.startswith("license:")]
    base_models = texts_in(card.get("base_model"))
    issues = issues_in(entry)
    facts = {
        "author": text_in(entry.get("author")),
        "license": text_in(card.get("license_name"))
        or text_in(card.get("license"))
        or next(iter(licenses), None),
        "license_link": text_in(card.get("license_link")),
        "tags": tags or None,
        "base_model": base_models[0] if len(base_models) == 1 else base_models or None,
        "pipeline_tag": text_in(entry.get("pipeline_tag")),
        "library_name": text_in(entry.get("library_name")),
        "trigger_words": texts_in(card.get("instance_prompt")) or None,
        "gated": entry.get("gated") if entry.get("gated") in ("auto", "manual") else None,
        "scan": _scan(issues),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _scan(issues: Mapping[str, str] | None) -> str | None:
    if issues is None:
        return None
    return f"the Hub's scanners warn of {len(issues)} files" if issues else "no issue found"
