"""The Hub's own client as a program: ``python hub_client.py ACTION CACHE [REPOSITORY [FILE...]]``.

For an interpreter that has huggingface_hub, in whichever version, and nothing of ours. What it
reads of its environment it reads when it is imported, and so each call is a process of its own.
"""

import hashlib
import json
import sys
from pathlib import Path

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download


def load(cache: str, repo_id: str, *names: str) -> object:
    """SHA-256 of each file as a program gets it that asks by name."""
    paths = {name: hf_hub_download(repo_id, name, cache_dir=cache) for name in names}
    return {name: _sha256(Path(path)) for name, path in paths.items()}


def snapshot(cache: str, repo_id: str) -> object:
    """Where a whole repository is, and SHA-256 of each file in it."""
    folder = Path(snapshot_download(repo_id, cache_dir=cache))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
    return {"commit": folder.name, "files": found}


def scan(cache: str) -> object:
    """What ``hf cache ls`` tells."""
    info = scan_cache_dir(cache)
    return {
        "repositories": {repo.repo_id: _revisions(repo) for repo in info.repos},
        "warnings": [str(warning) for warning in info.warnings],
    }


def delete(cache: str, *commits: str) -> object:
    """What ``hf cache rm`` does; returns how many bytes it expected to free."""
    strategy = scan_cache_dir(cache).delete_revisions(*commits)
    strategy.execute()
    return strategy.expected_freed_size


def _revisions(repo: object) -> dict[str, list[str]]:
    return {one.commit_hash: sorted(one.refs) for one in repo.revisions}  # type: ignore[attr-defined]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


ACTIONS = {"load": load, "snapshot": snapshot, "scan": scan, "delete": delete}

if __name__ == "__main__":
    json.dump(ACTIONS[sys.argv[1]](*sys.argv[2:]), sys.stdout)
