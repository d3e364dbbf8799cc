"""The origin of a downloaded model: what a look-up of the same files would find, and as it says it.

Only a digest that equals a published one is proof, here as well. What a host publishes none for is
claimed to be from there.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from modelcellar import naming
from modelcellar.enrichment import enriched
from modelcellar.hf.client import MAX_CARD_BYTES
from modelcellar.hf.model_card import summary_of
from modelcellar.hf.ranking import PROVIDER as HUB
from modelcellar.identification import Identification
from modelcellar.io.bounded import read_bytes
from modelcellar.manifest import Manifest
from modelcellar.origins import WEB, Match, Standing
from modelcellar.providers.civitai import PROVIDER as CIVITAI
from modelcellar.questions import of_whole_model, weights
from modelcellar.records import FileRecord
from modelcellar.remotes import Remote, RemoteFile

__all__ = ["proved_origin", "with_card"]

CARD = "README.md"


def with_card(remote: Remote, folder: Path) -> Remote:
    """The same with the first words of its card, where that has come and nobody has told them."""
    if remote.provider != HUB or "description" in remote.facts:
        return remote
    card = read_bytes(folder / CARD, limit_bytes=MAX_CARD_BYTES)
    summary = None if card is None else summary_of(card)
    if summary is None:
        return remote
    return replace(remote, facts={"description": summary, **remote.facts})


def proved_origin(
    found: Manifest, published: Mapping[str, RemoteFile], remote: Remote, *, at: str
) -> Manifest:
    """The manifest with where its files are from, and what is said of them there.

    Args:
        found: a model whose files were downloaded and checked.
        published: what was published of each of its files, by the path in the model.
        remote: where that was.
        at: the present instant, as in manifests.
    """
    counted = weights(found)
    answers = [
        Identification((_match(record, published[record.path], remote),)) for record in counted
    ]
    matches, _ = of_whole_model(counted, answers)
    after = enriched(found, matches, at=at)
    is_known = remote.provider != WEB and after.identity.status == Standing.VERIFIED
    # Of an address nobody knows whether a repository publishes the same bytes.
    return replace(after, looked_up_at=at) if is_known else after


def _match(record: FileRecord, file: RemoteFile, remote: Remote) -> Match:
    is_proved = file.sha256 is not None or file.git_sha1 is not None
    return Match(
        remote.provider,
        Standing.VERIFIED if is_proved else Standing.CLAIMED,
        _evidence(file, remote) if is_proved else "it came from there, where no digest is told",
        repo_id=remote.repo_id,
        revision=remote.revision,
        path=file.path,
        sha256=file.sha256,
        size_bytes=record.size_bytes,
        url=_page(file, remote),
        facts={**remote.facts, **({} if file.scan is None else {"scan": file.scan})},
        fetched_at=remote.fetched_at or None,
    )


def _evidence(file: RemoteFile, remote: Remote) -> str:
    """In the words of those who look up origins."""
    if remote.provider == CIVITAI:
        return f"Civitai publishes this SHA-256 for {file.path} of {remote.title}"
    if remote.provider == HUB:
        kind = "git name" if file.sha256 is None else "SHA-256"
        return f"its {kind} equals the published one"
    host = naming.display(urlsplit(remote.page or file.url).hostname or "an address")
    return f"it came from {host} and has the SHA-256 that was given for it"


def _page(file: RemoteFile, remote: Remote) -> str | None:
    """The address for people: of a file on the Hub, else of the version or of the file itself."""
    before, mark, _ = file.url.partition(f"/{remote.repo_id}/resolve/")
    if remote.provider == HUB and mark:
        revision = quote(remote.revision or "main", safe="")
        return f"{before}/{remote.repo_id}/blob/{revision}/{quote(file.path)}"
    if remote.provider == WEB:
        parts = urlsplit(remote.page or file.url)
        # What follows the path, or comes before the host, may be a secret.
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=host, query="", fragment=""))
    return remote.page
