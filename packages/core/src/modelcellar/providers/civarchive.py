"""CivArchive: an index of digests that third parties keep. What it says is a lead, never proof.

Address and fields: CivArchive's documented ``GET /api/v1/sha256/{sha256}``; a miss is an answer
with empty lists. Its lists may have been trimmed, so each lead has to be confirmed at its end.
"""

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from modelcellar import naming
from modelcellar.answers.cached import DIGEST_S, LONG_MISS_S, CachedNetwork
from modelcellar.answers.reading import dict_in, document_of, text_in
from modelcellar.network.http import Request
from modelcellar.origins import Match, Standing
from modelcellar.records import JsonValue

__all__ = ["PROVIDER", "CivArchive"]

PROVIDER = "civarchive"
MAX_FILES = 20


class CivArchive:
    """CivArchive, or a host with the same API; ``endpoint`` has no slash at the end."""

    def __init__(self, network: CachedNetwork, *, endpoint: str) -> None:
        self.endpoint = endpoint
        self._network = network

    async def by_sha256(self, digest: str) -> tuple[Match, ...]:
        """Where a file with this digest is said to be; ``repo_id`` where that is on the Hub.

        Raises:
            NetworkError: CivArchive could not be asked.
        """
        request = Request("GET", f"{self.endpoint}/api/v1/sha256/{digest}")
        answer = await self._network.request(
            request, lifetime_s=DIGEST_S, miss_lifetime_s=LONG_MISS_S
        )
        files = dict_in(document_of(answer.response)).get("files")
        entries = files[:MAX_FILES] if isinstance(files, list) else []
        found = (
            self._match(one, digest, answer.fetched_at) for one in entries if isinstance(one, dict)
        )
        return tuple(match for match in found if match is not None)

    def _match(self, file: Mapping[str, JsonValue], digest: str, at: str) -> Match | None:
        source, url = file.get("source"), file.get("url")
        if not isinstance(source, str) or not isinstance(url, str) or file.get("deleted_at"):
            return None
        url = f"{self.endpoint}{url}" if url.startswith("/") else url
        if not url.startswith("https://") and not url.startswith(f"{self.endpoint}/"):
            return None
        repo_id, path = _hub_place(url) if source == "huggingface" else (None, None)
        return Match(
            PROVIDER,
            Standing.CANDIDATE,
            f"CivArchive knows this SHA-256 from {naming.display(source)[:40]}, not confirmed",
            repo_id=repo_id,
            path=path,
            sha256=digest,
            url=text_in(url),
            fetched_at=at,
        )


def _hub_place(url: str) -> tuple[str | None, str | None]:
    """Repository and path out of ``.../<owner>/<name>/(resolve|blob)/<revision>/<path>``."""
    try:
        parts = [unquote(part) for part in urlsplit(url).path.strip("/").split("/")]
    except ValueError:
        return None, None
    repo_id = "/".join(parts[:2])
    if len(parts) < 2 or not naming.is_repo_id(repo_id):
        return None, None
    path = "/".join(parts[4:]) if len(parts) > 4 and parts[2] in ("resolve", "blob") else ""
    return repo_id, path if path and not naming.relative_path_problems(path) else None
