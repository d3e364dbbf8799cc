"""What huggingface_hub keeps about files: its cache's layout, and notes beside ``--local-dir``.

Layout: huggingface_hub's guide "Understand caching"; ``_local_folder.py`` and ``_tree_cache.py`` of
versions 0.36 to 2.4. An etag is the SHA-256 of a large file and git's name of a small one.
"""

from collections.abc import Iterator
from pathlib import Path

from modelcellar.naming import display, is_repo_id
from modelcellar.origins import Claim
from modelcellar.providers.records.reading import (
    commit_in,
    entries,
    is_folder,
    is_link,
    read_bytes,
    read_object,
    repo_path,
    sha256_in,
    whole_in,
)

__all__ = ["cache_claims", "local_dir_claims"]

PROVIDER = "huggingface"
TOOL = "huggingface_hub"
MAX_ENTRIES = 20_000
"""So many links of one repository are looked at to learn what a blob is called."""
MAX_DEPTH = 16
MAX_NOTE_BYTES = 4096
_PREFIX = "models--"


def cache_claims(place: Path) -> tuple[Claim, ...]:
    """What the cache's layout says of a file in ``snapshots/<commit>/`` or ``blobs/``."""
    parts = place.parts
    at = next((at for at in reversed(range(len(parts))) if parts[at].startswith(_PREFIX)), None)
    if at is None:
        return ()
    repo_id = "/".join(parts[at].removeprefix(_PREFIX).split("--"))
    if not is_repo_id(repo_id, bare=True):
        return ()
    folder = Path(*parts[: at + 1])
    match parts[at + 1 :]:
        case ("snapshots", commit, _, *_):
            return _of_snapshot(folder, repo_id, commit, "/".join(parts[at + 3 :]))
        case ("blobs", etag):
            return _of_blob(folder, repo_id, etag)
        case _:
            return ()


def _of_snapshot(folder: Path, repo_id: str, name: str, path: str) -> tuple[Claim, ...]:
    commit = commit_in(name)
    if commit is None:
        return ()
    sha256, size_bytes = sha256_in(_etag(folder / "snapshots" / commit / path)), None
    if sha256 is None:
        # Where links cannot be made the file itself lies here, and only a listing may tell.
        listed = read_object(folder / "trees" / f"{commit}.json").get("files")
        entry = listed.get(path) if isinstance(listed, dict) else None
        if isinstance(entry, dict):
            sha256, size_bytes = sha256_in(entry.get("lfs_sha256")), whole_in(entry.get("size"))
    return (_claim(folder, repo_id, commit, path, sha256, size_bytes),)


def _of_blob(folder: Path, repo_id: str, etag: str) -> tuple[Claim, ...]:
    named = dict(_names_of(folder / "snapshots", etag))
    data = read_bytes(folder / "refs" / "main", limit_bytes=MAX_NOTE_BYTES) or b""
    main = data.decode(errors="replace").strip()
    commit = main if main in named else min(named, default=None)
    sha256 = sha256_in(etag)
    if commit is None and sha256 is None:
        return ()
    path = None if commit is None else named[commit]
    return (_claim(folder, repo_id, commit, path, sha256, None),)


def _names_of(snapshots: Path, etag: str) -> Iterator[tuple[str, str]]:
    """Each commit with the path under which it has the blob; links to folders are not followed."""
    left = MAX_ENTRIES
    waiting = [
        (Path(entry.path), entry.name, "")
        for entry in entries(snapshots)
        if commit_in(entry.name) is not None and is_folder(entry)
    ]
    while waiting:
        folder, commit, inside = waiting.pop()
        for entry in entries(folder):
            left -= 1
            if left < 0:
                return
            path = f"{inside}{entry.name}"
            if is_link(entry):
                if _etag(Path(entry.path)) == etag:
                    yield commit, path
            elif is_folder(entry) and path.count("/") < MAX_DEPTH:
                waiting.append((Path(entry.path), commit, f"{path}/"))


def _etag(link: Path) -> str | None:
    """The name of the blob that a link of a snapshot leads to; that may be a link as well."""
    try:
        target = link.readlink()
    except (OSError, ValueError):
        return None
    return target.name if target.parent.name == "blobs" else None


def _claim(
    folder: Path,
    repo_id: str,
    commit: str | None,
    path: str | None,
    sha256: str | None,
    size_bytes: int | None,
) -> Claim:
    return Claim(
        PROVIDER,
        TOOL,
        f"its place in the Hugging Face cache: {display(folder.name)}",
        repo_id=repo_id,
        revision=commit,
        path=None if path is None else repo_path(path),
        sha256=sha256,
        size_bytes=size_bytes,
    )


def local_dir_claims(place: Path) -> tuple[Claim, ...]:
    """What a download into a folder noted: commit, etag, time. It does not name the repository."""
    for folder in list(place.parents)[:MAX_DEPTH]:
        path = place.relative_to(folder).as_posix()
        note = folder / ".cache" / "huggingface" / "download" / f"{path}.metadata"
        data = read_bytes(note, limit_bytes=MAX_NOTE_BYTES)
        if data is None:
            continue
        lines = [line.strip() for line in data.decode(errors="replace").splitlines()]
        commit = commit_in(lines[0]) if len(lines) >= 3 else None
        if commit is None:
            continue
        changed = ", before the file was changed" if _is_older(lines[2], place) else ""
        return (
            Claim(
                PROVIDER,
                TOOL,
                f"noted when it was downloaded{changed}: {display(path)}.metadata",
                revision=commit,
                path=repo_path(path),
                sha256=sha256_in(lines[1]),
            ),
        )
    return ()


def _is_older(timestamp: str, place: Path) -> bool:
    """Whether a note was written before the file was; huggingface_hub lets a second pass."""
    try:
        return place.stat().st_mtime - 1 > float(timestamp)
    except (OSError, ValueError):
        return False
