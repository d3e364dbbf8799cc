"""A look at the real hosts, for people with a network: ``nox -s live``. No test needs it.

It asks each host for something that has been there for years, and says which answers are not what
the fakes of ``tests/support/fake_hub`` give. Some twenty calls, no token, nothing downloaded.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from modelcellar.config import load_settings
from modelcellar.hosts import Hosts, open_hosts
from modelcellar.origins import Subject

REPOSITORY = "openai-community/gpt2"
WEIGHTS = "model.safetensors"
OLD_NAME = "gpt2"


async def repository(hosts: Hosts) -> str:
    """A repository lists its files with digests and sizes, under its own name."""
    found = await hosts.hub.repository(REPOSITORY)
    assert found is not None, "not there"
    files = {file.path: file for file in found.listing.files}
    weights, config = files[WEIGHTS], files["config.json"]
    assert weights.sha256 is not None, "no SHA-256 of an LFS object"
    assert weights.size_bytes > 100_000_000, f"{weights.size_bytes} bytes"
    assert config.git_sha1 is not None, "no git name of a small file"
    assert found.facts.get("license"), "no licence"
    return f"{len(files)} files at {found.listing.commit[:12]}, scan: {weights.scan}"


async def old_name(hosts: Hosts) -> str:
    """A name of one word leads to the repository that it became."""
    found = await hosts.hub.repository(OLD_NAME)
    assert found is not None, "the redirect was not followed"
    assert found.listing.repo_id == REPOSITORY, found.listing.repo_id
    return found.listing.repo_id


async def search(hosts: Hosts) -> str:
    """A search names repositories and, asked for them, their files."""
    page = await hosts.hub.search("gpt2", author="openai-community")
    ids = [repo.repo_id for repo in page.repos]
    assert REPOSITORY in ids, ids
    assert any(repo.paths for repo in page.repos), "no file names with expand=siblings"
    return f"{len(ids)} repositories"


async def card(hosts: Hosts) -> str:
    """The card of a repository, by two redirects."""
    found = await hosts.hub.repository(REPOSITORY)
    assert found is not None
    summary = await hosts.hub.summary(found)
    assert summary, "no summary"
    return summary[:60]


async def by_hash(hosts: Hosts) -> str:
    """What was listed is found by its digest alone."""
    found = await hosts.hub.repository(REPOSITORY)
    assert found is not None
    sha256 = next(file.sha256 for file in found.listing.files if file.path == WEIGHTS)
    (match, *_) = hosts.identifier.hub.lookup_by_hash(Subject("x", sha256=sha256))
    assert match.repo_id == REPOSITORY
    return match.evidence


async def civitai(hosts: Hosts) -> str:
    """Civitai takes a list of digests, and knows nothing of one that nobody has."""
    found = await hosts.identifier.civitai.by_sha256(["0" * 64])
    assert found == {}, found
    return "an empty list"


async def civarchive(hosts: Hosts) -> str:
    """CivArchive answers for a digest that nobody has."""
    found = await hosts.identifier.civarchive.by_sha256("0" * 64)
    assert found == (), found
    return "no lead"


async def quotas(hosts: Hosts) -> str:
    """The Hub says with every answer what is left of its quotas."""
    left = {
        quota.bucket: quota.left
        for origin in hosts.network.status().origins
        for quota in origin.quotas
    }
    assert "api" in left, left
    return ", ".join(f"{bucket}: {number} left" for bucket, number in left.items())


CHECKS: tuple[Callable[[Hosts], Awaitable[str]], ...] = (
    *(repository, old_name, search, card, by_hash, civitai, civarchive, quotas),
)


async def run() -> int:
    """Run every check; how many failed."""
    failed = 0
    settings, _ = load_settings()
    async with open_hosts(settings) as hosts:
        for check in CHECKS:
            try:
                said = await check(hosts)
            except Exception as error:
                failed += 1
                said = f"FAILED: {type(error).__name__}: {error}"
            print(f"{check.__name__:12} {said}")
    return failed


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name in ("STATE", "CACHE", "DATA", "CONFIG"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(folder, name))
        os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"
        sys.exit(min(asyncio.run(run()), 1))
