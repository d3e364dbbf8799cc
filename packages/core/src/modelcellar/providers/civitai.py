"""Civitai: which published file has this digest.

Addresses and fields: civitai's ``src/pages/api/v1/model-versions/by-hash``. Digests are sent, never
names or files. One call asks for up to 10,000 of them, one more for the details of 100 it knows.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from modelcellar import naming
from modelcellar.answers.cached import DIGEST_S, LONG_MISS_S, CachedNetwork
from modelcellar.answers.reading import dict_in, dicts_in, document_of, text_in, texts_in
from modelcellar.errors import AnswerRefusedError
from modelcellar.network.http import Request, Response, origin_of
from modelcellar.origins import Match, Standing
from modelcellar.records import JsonValue

__all__ = ["PROVIDER", "Civitai", "scan_of", "version_facts"]

PROVIDER = "civitai"
DIGESTS_PER_CALL = 10_000
DETAILS_PER_CALL = 100
AUTOV3_DIGITS = 12
MAX_BODY_BYTES = 64 << 20

_MISS = Response(404, "")


class Civitai:
    """Civitai, or a host with the same API.

    Args:
        endpoint: address without a slash at the end.
    """

    def __init__(self, network: CachedNetwork, *, endpoint: str) -> None:
        self.endpoint = endpoint
        self._network = network
        self._cache = network.cache
        self._clock = network.cache.clock

    async def by_sha256(self, digests: Sequence[str]) -> dict[str, Match]:
        """The published file of each of these digests, as far as there is one.

        Raises:
            NetworkError: Civitai could not be asked.
        """
        wanted = list(dict.fromkeys(digests))
        entries = {} if self._network.refresh else dict(self._remembered(wanted))
        for asked in _chunks([one for one in wanted if one not in entries], DIGESTS_PER_CALL):
            known = await self._known(asked)
            for some in _chunks([one for one in asked if one in known], DETAILS_PER_CALL):
                entries |= await self._details(some)
            entries |= {digest: entries.get(digest) for digest in asked}
            # It may wait for the disk or another process.
            await asyncio.to_thread(self._remember, {one: entries[one] for one in asked})
        found = ((digest, entries[digest]) for digest in wanted)
        return {digest: self._match(digest, entry) for digest, entry in found if entry}

    async def by_tensors(self, tensor_sha256: str) -> Match | None:
        """A published file with these tensors under another header; no proof of the file itself.

        Raises:
            NetworkError: Civitai could not be asked.
        """
        autov3 = tensor_sha256[:AUTOV3_DIGITS].upper()
        request = Request("GET", f"{self.endpoint}/api/v1/model-versions/by-hash/{autov3}")
        answer = await self._network.request(
            request, lifetime_s=DIGEST_S, miss_lifetime_s=LONG_MISS_S
        )
        version = dict_in(document_of(answer.response))
        for file in dicts_in(version.get("files")):
            # So short a hash may be another kind of hash of another file.
            if str(dict_in(file.get("hashes")).get("AutoV3")).upper() == autov3:
                entry = self._entry(version, file)
                if entry is not None:
                    match = self._match("", entry)
                    return replace(
                        match,
                        status=Standing.CANDIDATE,
                        sha256=None,
                        evidence=f"Civitai knows these tensors (AutoV3 {autov3}) under another "
                        f"header, as {match.path or 'a file'}",
                    )
        return None

    def _remembered(self, digests: Iterable[str]) -> Iterator[tuple[str, JsonValue]]:
        now = self._clock()
        for digest in digests:
            kept = self._cache.get(self._key(digest))
            if kept is not None and kept.is_fresh(now):
                is_known = kept.response.status == 200
                yield digest, kept.response.json() if is_known else None

    def _remember(self, entries: Mapping[str, JsonValue]) -> None:
        for digest, entry in entries.items():
            if entry is None:
                self._cache.put(self._key(digest), _MISS, lifetime_s=LONG_MISS_S)
            else:
                kept = Response(200, "", body=json.dumps(entry).encode())
                self._cache.put(self._key(digest), kept, lifetime_s=DIGEST_S)

    def _key(self, digest: str) -> str:
        # No request that is ever made: what is kept is our extract for one digest of many.
        return self._cache.key(Request("GET", f"{self.endpoint}/sha256/{digest}"))

    async def _known(self, digests: Sequence[str]) -> set[str]:
        """Which of these digests Civitai knows."""
        document = await self._post("by-hash/ids", digests)
        hashes = (dict_in(one).get("hash") for one in document)
        return {found.lower() for found in hashes if isinstance(found, str)}

    async def _details(self, digests: Sequence[str]) -> dict[str, JsonValue]:
        """Version and file of each digest, as small documents of our own."""
        wanted = set(digests)
        found: dict[str, JsonValue] = {}
        for version in await self._post("by-hash", digests):
            for file in dicts_in(dict_in(version).get("files")):
                digest = str(dict_in(file.get("hashes")).get("SHA256")).lower()
                # The oldest published version is whose file it is; copies of it came later.
                if digest in wanted and digest not in found:
                    found[digest] = self._entry(dict_in(version), file)
        return found

    async def _post(self, path: str, digests: Sequence[str]) -> list[JsonValue]:
        request = Request(
            "POST",
            f"{self.endpoint}/api/v1/model-versions/{path}",
            json=[digest.upper() for digest in digests],
            timeout_s=30.0,
            max_bytes=MAX_BODY_BYTES,
        )
        document = document_of(await self._network.network.request(request))
        if not isinstance(document, list):
            raise AnswerRefusedError(
                f"{self.endpoint} gave no list of model versions",
                "Try again later.",
                origin=origin_of(self.endpoint),
            )
        return document

    def _entry(self, version: Mapping[str, JsonValue], file: Mapping[str, JsonValue]) -> JsonValue:
        """What is kept of a version and one of its files; ``None`` where the ids are none."""
        model_id, version_id = version.get("modelId"), version.get("id")
        if type(model_id) is not int or type(version_id) is not int:
            return None
        model = dict_in(version.get("model"))
        name, file_name = text_in(model.get("name")), text_in(file.get("name"))
        return {
            "model_id": model_id,
            "version_id": version_id,
            "fetched_at": self._clock(),
            "name": " ".join(part for part in (name, text_in(version.get("name"))) if part) or None,
            "file": file_name
            if file_name and not naming.relative_path_problems(file_name)
            else None,
            "facts": version_facts(version, file),
        }

    def _match(self, digest: str, entry: Mapping[str, JsonValue]) -> Match:
        model_id, version_id = entry["model_id"], entry["version_id"]
        at = datetime.fromtimestamp(entry["fetched_at"], UTC)
        return Match(
            PROVIDER,
            Standing.VERIFIED,
            f"Civitai publishes this SHA-256 for {entry.get('file') or 'a file'} of "
            f"{entry.get('name') or 'a model'}",
            repo_id=f"{model_id}",
            revision=f"{version_id}",
            path=entry.get("file"),
            sha256=digest,
            url=f"{self.endpoint}/models/{model_id}?modelVersionId={version_id}",
            facts={key: value for key, value in entry["facts"].items() if value is not None},
            fetched_at=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )


def version_facts(
    version: Mapping[str, JsonValue], file: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """What Civitai says of a version and one of its files; ``None`` what it does not say."""
    model = dict_in(version.get("model"))
    return {
        "title": text_in(model.get("name")),
        "base_model": text_in(version.get("baseModel")),
        "trigger_words": texts_in(version.get("trainedWords")) or None,
        "description": text_in(version.get("description")),
        "civitai_type": text_in(model.get("type")),
        "scan": scan_of(file),
        "published_at": text_in(version.get("publishedAt")),
    }


def scan_of(file: Mapping[str, JsonValue]) -> str | None:
    """What the scanners say of a file; ``None`` as long as they say nothing."""
    results = {text_in(file.get(key)) for key in ("pickleScanResult", "virusScanResult")} - {None}
    if not results:
        return None
    bad = sorted(str(one) for one in results - {"Success"})
    return f"Civitai's scanners say {', '.join(bad)}" if bad else "no issue found"


def _chunks(digests: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(digests), size):
        yield digests[start : start + size]
