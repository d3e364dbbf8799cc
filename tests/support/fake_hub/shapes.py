"""How models, files and references look in the JSON of the Hub."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from tests.support.fake_hub.clock import iso
from tests.support.fake_hub.repos import Commit, FakeRepo, RepoFile

__all__ = ["EXPANDABLE", "entries", "listed_model", "model", "refs", "scan_summary"]

# Source: ExpandModelProperty_T of huggingface_hub 2.4.0. `_id` and `id` always come along.
EXPANDABLE = (
    "author", "baseModels", "cardData", "childrenModelCount", "config", "createdAt", "disabled",
    "downloads", "downloadsAllTime", "evalResults", "gated", "gguf", "inference",
    "inferenceProviderMapping", "lastModified", "library_name", "likes", "mask_token",
    "model-index", "pipeline_tag", "private", "resourceGroup", "safetensors", "sha", "siblings",
    "spaces", "tags", "transformersInfo", "trendingScore", "usedStorage", "widgetData",
    "xetEnabled",
)  # fmt: skip
_LISTED = (
    "likes", "trendingScore", "private", "downloads", "tags", "pipeline_tag", "library_name",
    "createdAt",
)  # fmt: skip
_LISTED_IN_FULL = ("author", "gated", "lastModified", "sha", "siblings", "disabled")
_LISTED_ON_REQUEST = ("cardData", "config")
_WHOLE = (
    "author", "cardData", "config", "createdAt", "disabled", "downloads", "gated", "gguf",
    "lastModified", "library_name", "likes", "pipeline_tag", "private", "safetensors", "sha",
    "siblings", "spaces", "tags", "usedStorage",
)  # fmt: skip
_PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth"})
_SAFE_LEVELS = frozenset({"safe", "unscanned", "queued"})


def _facts(repo: FakeRepo, commit: Commit, *, blobs: bool) -> dict[str, object]:
    """Everything the Hub could say about a repository; keys without a value are left out."""
    base = repo.base_model
    # Nothing is known of trends here, so likes and downloads stand for the other counts as well.
    facts: dict[str, object] = {
        "author": repo.author,
        "baseModels": base and {"relation": repo.base_model_relation, "models": [{"id": base}]},
        "cardData": dict(repo.card) or None,
        "childrenModelCount": 0,
        "createdAt": iso(repo.created_at),
        "disabled": repo.disabled,
        "downloads": repo.downloads,
        "downloadsAllTime": repo.downloads * 3,
        "gated": repo.gated,
        "lastModified": iso(repo.last_modified),
        "library_name": repo.library_name,
        "likes": repo.likes,
        "pipeline_tag": repo.pipeline_tag,
        "private": repo.private,
        "sha": commit.id,
        "siblings": [_sibling(file, blobs=blobs) for _, file in sorted(commit.files.items())],
        "spaces": [],
        "tags": list(repo.all_tags()),
        "trendingScore": repo.likes,
        "usedStorage": sum(file.size_bytes for file in commit.files.values()),
        "xetEnabled": True,
        **repo.facts,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _chosen(repo: FakeRepo, facts: Mapping[str, object], names: Iterable[str]) -> dict[str, object]:
    found = {name: facts[name] for name in names if name in facts}
    return {"_id": repo.internal_id, "id": repo.repo_id, **found}


def model(
    repo: FakeRepo,
    commit: Commit,
    *,
    expand: tuple[str, ...] = (),
    blobs: bool = False,
    security: bool = False,
) -> dict[str, object]:
    """One model as ``/api/models/ID`` shows it."""
    facts = _facts(repo, commit, blobs=blobs)
    if expand:
        return _chosen(repo, facts, expand)
    shown = {**_chosen(repo, facts, _WHOLE), "modelId": repo.repo_id}
    if security:
        shown["securityRepoStatus"] = scan_summary(repo, commit)
    return shown


def listed_model(
    repo: FakeRepo,
    *,
    expand: tuple[str, ...] = (),
    full: bool = False,
    extra: tuple[str, ...] = (),
) -> dict[str, object]:
    """One model as ``/api/models`` shows it; ``extra`` is ``cardData`` or ``config`` asked for."""
    facts = _facts(repo, repo.head, blobs=False)
    if expand:
        return _chosen(repo, facts, expand)
    names = [*_LISTED, *(_LISTED_IN_FULL if full else ())]
    names += [name for name in _LISTED_ON_REQUEST if name in extra]
    return {**_chosen(repo, facts, names), "modelId": repo.repo_id}


def scan_summary(repo: FakeRepo, commit: Commit) -> dict[str, object]:
    """What the scanners found in the whole repository."""
    bad = [
        {"path": path, "level": level}
        for path, level in sorted(repo.scans.items())
        if level not in _SAFE_LEVELS and path in commit.files
    ]
    done = "queued" not in repo.scans.values()
    return {"scansDone": done, "filesWithIssues": bad}


def _sibling(file: RepoFile, *, blobs: bool) -> dict[str, object]:
    shown: dict[str, object] = {"rfilename": file.path}
    if blobs:
        shown |= {"size": file.size_bytes, "blobId": file.oid}
        if file.sha256 is not None:
            # The same value is called `oid` in a tree.
            shown["lfs"] = {"sha256": file.sha256, **_lfs_sizes(file)}
    return shown


def _lfs_sizes(file: RepoFile) -> dict[str, int]:
    return {"size": file.size_bytes, "pointerSize": len(file.pointer)}


def entries(
    repo: FakeRepo, commit: Commit, folder: str, *, recursive: bool, expand: bool
) -> list[dict[str, object]] | None:
    """What a tree lists below ``folder``, folders first; ``None`` when there is no such folder."""
    prefix = f"{folder}/" if folder else ""
    inside = [path for path in sorted(commit.files) if path.startswith(prefix)]
    if not inside and folder:
        return None
    folders = {
        f"{prefix}{parent}"
        for path in inside
        for parent in _folders_of(path.removeprefix(prefix))
        if recursive or "/" not in parent
    }
    files = [path for path in inside if recursive or "/" not in path.removeprefix(prefix)]
    shown = [entry(repo, commit, path, expand=expand) for path in (*sorted(folders), *files)]
    return [one for one in shown if one is not None]


def entry(repo: FakeRepo, commit: Commit, path: str, *, expand: bool) -> dict[str, object] | None:
    """One file or folder of a tree; ``None`` when there is nothing of that name."""
    file = commit.files.get(path)
    if file is None:
        return _folder_entry(commit, path, expand=expand)
    shown: dict[str, object] = {
        "type": "file",
        "oid": file.oid,
        "size": file.size_bytes,
        "path": path,
    }
    if file.sha256 is not None:
        shown["lfs"] = {"oid": file.sha256, **_lfs_sizes(file)}
        shown["xetHash"] = file.xet_hash
    if expand:
        shown["lastCommit"] = _last_commit(commit.changed[path])
        shown["securityFileStatus"] = _security(path, repo.scans.get(path, "safe"))
    return shown


def _folder_entry(commit: Commit, path: str, *, expand: bool) -> dict[str, object] | None:
    inside = [name for name in sorted(commit.files) if name.startswith(f"{path}/")]
    if not inside:
        return None
    names = "\n".join(f"{name} {commit.files[name].oid}" for name in inside)
    oid = hashlib.sha1(names.encode(), usedforsecurity=False).hexdigest()
    shown: dict[str, object] = {"type": "directory", "oid": oid, "size": 0, "path": path}
    if expand:
        newest = max((commit.changed[name] for name in inside), key=lambda found: found.at)
        shown["lastCommit"] = _last_commit(newest)
    return shown


def _folders_of(path: str) -> list[str]:
    return [parent.as_posix() for parent in PurePosixPath(path).parents if parent.name]


def _last_commit(commit: Commit) -> dict[str, object]:
    return {"id": commit.id, "title": commit.title, "date": iso(commit.at)}


def _security(path: str, status: str) -> dict[str, object]:
    """The verdict, and the scanners that came to it; one of them looks into pickles only."""
    scanners: dict[str, object] = {
        name: {"status": status}
        for name in ("avScan", "jFrogScan", "protectAiScan", "virusTotalScan")
    }
    pickles: dict[str, object] = {"status": "unscanned"}
    if PurePosixPath(path).suffix in _PICKLES:
        safety = "innocuous" if status in _SAFE_LEVELS else "dangerous"
        found = {"module": "collections", "name": "OrderedDict", "safety": safety}
        pickles = {"status": status, "pickleImports": [found]}
    return {"status": status, **scanners, "pickleImportScan": pickles}


def refs(repo: FakeRepo, *, pull_requests: bool) -> dict[str, object]:
    """Branches and tags with their commits, and pull requests if they are asked for."""

    def named(prefix: str, found: Mapping[str, str]) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"{prefix}{name}", "targetCommit": commit_id}
            for name, commit_id in found.items()
        ]

    shown: dict[str, object] = {
        "tags": named("refs/tags/", repo.tag_refs),
        "branches": named("refs/heads/", repo.branches),
        "converts": [],
    }
    if pull_requests:
        shown["pullRequests"] = named("", repo.pull_requests)
    return shown
