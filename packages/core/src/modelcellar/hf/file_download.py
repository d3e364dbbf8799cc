"""What of a repository can be downloaded: every file at one commit, before its first byte comes.

The revision is resolved once, and files are asked for at the commit that it stands for: a branch
may move between two of them.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from modelcellar import naming
from modelcellar.answers.cached import Answer
from modelcellar.answers.reading import dict_in, dicts_in, document_of
from modelcellar.errors import (
    AnswerRefusedError,
    CellarError,
    NetworkError,
    NotPublishedError,
    UsageError,
)
from modelcellar.hf.cache import COMMIT_S
from modelcellar.hf.client import HubClient, next_url, speaks_for
from modelcellar.hf.published import files_of_page, files_of_siblings, keepable, with_scans
from modelcellar.hf.refusals import Refused, refusal
from modelcellar.hf.repositories import Repository, repository
from modelcellar.network.http import Request, origin_of
from modelcellar.origins import RepoFile
from modelcellar.records import JsonValue
from modelcellar.remotes import Remote, RemoteFile

__all__ = ["PROVIDER", "HubFiles"]

PROVIDER = "huggingface"
LISTING_S = 30.0
MAX_LISTING_BYTES = 128 << 20
MAX_PAGES = 2_000
"""Of a tree, each of about a thousand entries."""
SHOWN = 5
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubFiles:
    """Repositories of the Hub that ``hub`` asks, as what can be downloaded."""

    def __init__(self, hub: HubClient) -> None:
        self._hub = hub

    async def remote(self, repo_id: str, *, revision: str | None = None) -> Remote:
        """All files of a repository at the commit that ``revision`` stands for now.

        ``revision`` is a branch, a tag, ``refs/pr/N`` or a whole commit; ``None`` is the branch
        that the Hub shows. Only what a commit holds may come from the cache, and be old.

        Raises:
            UsageError: that cannot be the name of a repository or of a revision.
            NotPublishedError: there is no such repository or revision, or it is not to be seen.
            SignInNeededError: the Hub shows it to others only.
            NetworkError: the Hub could not be asked, or its answer makes no sense.
        """
        _require_names(repo_id, revision)
        answer = await self._described(repo_id, revision)
        if 400 <= answer.response.status < 500:
            raise await self._problem(answer, repo_id, revision)
        document = document_of(answer.response)
        found = self._found(document, answer, repo_id, revision)
        listing = found.listing
        files = files_of_siblings(document)
        try:
            if files is None:
                files = await self._tree(listing.repo_id, listing.commit)
            files, left_out = keepable(with_scans(files, document))
        except ValueError as error:
            raise self._refused(f"the list of files of {listing.repo_id}: {error}") from None
        listing = replace(listing, files=files)
        await self._hub.remember(listing)
        notes = self._notes(repo_id, replace(found, listing=listing), left_out)
        return Remote(
            PROVIDER,
            listing.repo_id.rpartition("/")[2],
            tuple(self._file(listing.repo_id, listing.commit, file) for file in files),
            repo_id=listing.repo_id,
            revision=listing.commit,
            page=self._hub.page_of(listing.repo_id),
            facts=found.facts,
            fetched_at=listing.fetched_at,
            authorization=self._hub.signed.authorization,
            notes=notes,
            left_out=left_out,
        )

    def refusal(
        self, status: int, headers: Mapping[str, str], *, repo_id: str, path: str
    ) -> CellarError:
        """What it means that the Hub answers the request for a file with ``status`` (4xx)."""
        return refusal(status, headers, self._asked(repo_id, path=path))

    async def _described(self, repo_id: str, revision: str | None) -> Answer:
        at = "" if revision is None else f"/revision/{quote(revision, safe='')}"
        request = Request(
            "GET",
            f"{self._hub.endpoint}/api/models/{repo_id}{at}?blobs=true&securityStatus=true",
            bucket="api",
            timeout_s=LISTING_S,
            max_bytes=MAX_LISTING_BYTES,
        )
        is_commit = revision is not None and _COMMIT.fullmatch(revision)
        # Somebody may just be publishing it, or asking for access.
        return await self._hub.ask(request, COMMIT_S if is_commit else None, miss_lifetime_s=0.0)

    def _found(
        self, document: JsonValue, answer: Answer, repo_id: str, revision: str | None
    ) -> Repository:
        found = repository(document, fetched_at=answer.fetched_at)
        if found is None:
            raise self._refused(f"what {self._hub.endpoint} says of {repo_id} makes no sense")
        listing = found.listing
        if not speaks_for(answer.response.url, listing.repo_id):
            raise self._refused(f"asked for {repo_id}, the Hub speaks of {listing.repo_id}")
        if revision and _COMMIT.fullmatch(revision) and listing.commit != revision:
            raise self._refused(f"asked for commit {revision}, the Hub speaks of {listing.commit}")
        return replace(found, is_stale=answer.is_stale)

    async def _tree(self, repo_id: str, commit: str) -> tuple[RepoFile, ...]:
        """All files, page by page.

        Raises:
            ValueError: a page makes no sense, or there is no end of them.
        """
        url = f"{self._hub.endpoint}/api/models/{repo_id}/tree/{commit}?recursive=true"
        files: list[RepoFile] = []
        asked: set[str] = set()
        while len(asked) < MAX_PAGES:
            asked.add(url)
            request = Request("GET", url, bucket="api", timeout_s=LISTING_S)
            answer = await self._hub.ask(request, None)
            files += files_of_page(document_of(answer.response))
            link = answer.response.headers.get("link", "")
            following = next_url(link, self._hub.endpoint)
            if following is None and 'rel="next"' in link:
                raise ValueError("it goes on at another host")
            if following is None:
                return tuple(files)
            if following in asked:
                raise ValueError("it goes on in a circle")
            url = following
        raise ValueError(f"more than {MAX_PAGES} pages")

    async def _problem(self, answer: Answer, repo_id: str, revision: str | None) -> CellarError:
        """What is wrong, with the names that may have been meant."""
        headers = answer.response.headers
        error = refusal(answer.response.status, headers, self._asked(repo_id, revision=revision))
        if not isinstance(error, NotPublishedError):
            return error
        hint = error.hint
        if self._hub.signed.is_token_refused:
            hint = f"Your token is not accepted: take HF_TOKEN away, or renew it. {hint}"
        try:
            lead = await self._names_meant(headers, error, repo_id, revision)
        except NetworkError:
            lead = ""  # Nothing better is known.
        return NotPublishedError(error.message, f"{lead}{hint}")

    async def _names_meant(
        self, headers: Mapping[str, str], error: CellarError, repo_id: str, revision: str | None
    ) -> str:
        """A sentence that names what there is instead, with a blank after it; or nothing."""
        if headers.get("x-error-code") == "RevisionNotFound":
            names = _closest(revision or "", await self._revisions(repo_id), cutoff=0.0)
            return f"It has {', '.join(names)}. " if names else ""
        if "disabled" in error.message:
            return ""
        names = await self._similar(repo_id)
        return f"Did you mean {' or '.join(names)}? " if names else ""

    async def _revisions(self, repo_id: str) -> list[str]:
        url = f"{self._hub.endpoint}/api/models/{repo_id}/refs"
        answer = await self._hub.ask(Request("GET", url, bucket="api"), None)
        document = dict_in(document_of(answer.response))
        entries = [*dicts_in(document.get("branches")), *dicts_in(document.get("tags"))]
        names = (entry.get("name") for entry in entries)
        return [naming.display(name) for name in names if isinstance(name, str)]

    async def _similar(self, repo_id: str) -> list[str]:
        """Repositories of a similar name: of that name elsewhere, else of the same owner."""
        owner, _, name = repo_id.rpartition("/")
        found = [one.repo_id for one in (await self._hub.search(name, limit=20)).repos]
        if not found and owner:
            found = await self._hub.repositories_of(owner, limit=100)
        return _closest(repo_id, found, cutoff=0.6)

    def _notes(
        self, asked: str, found: Repository, left_out: Sequence[tuple[str, str]]
    ) -> tuple[str, ...]:
        listing = found.listing
        notes = []
        if listing.repo_id.lower() != asked.lower():
            notes.append(f"{asked} is now called {listing.repo_id}")
        if found.is_stale:
            notes.append(
                f"{self._hub.endpoint} does not answer: this is what it listed at "
                f"{listing.fetched_at}"
            )
        if "gated" in found.facts and self._hub.signed.authorization is None:
            notes.append(
                f"{listing.repo_id} is gated: accept its terms at "
                f"{self._hub.page_of(listing.repo_id)}, then run: hf auth login (or set HF_TOKEN)"
            )
        notes += [
            f"{naming.display(path[:200])} is left out: its name {reason}"
            for path, reason in left_out[:SHOWN]
        ]
        if len(left_out) > SHOWN:
            notes.append(f"{len(left_out) - SHOWN} more files are left out for their names")
        return tuple(notes)

    def _file(self, repo_id: str, commit: str, file: RepoFile) -> RemoteFile:
        endpoint, path = self._hub.endpoint, quote(file.path)
        # Where the Hub redirects to for what is not in LFS: each redirect is a call of the quota.
        shortcut = f"{endpoint}/api/resolve-cache/models/{repo_id}/{commit}/{path}"
        return RemoteFile(
            file.path,
            f"{endpoint}/{repo_id}/resolve/{commit}/{path}",
            file.size_bytes,
            sha256=file.sha256,
            git_sha1=file.git_sha1,
            scan=file.scan,
            shortcut=None if file.sha256 else shortcut,
        )

    def _asked(
        self, repo_id: str, *, path: str | None = None, revision: str | None = None
    ) -> Refused:
        has_token = self._hub.signed.authorization is not None
        return Refused(repo_id, self._hub.page_of(repo_id), has_token, path, revision)

    def _refused(self, message: str) -> AnswerRefusedError:
        return AnswerRefusedError(
            message,
            "It may be damaged, or something between you and the Hub answered. Try again later.",
            origin=origin_of(self._hub.endpoint),
        )


def _require_names(repo_id: str, revision: str | None) -> None:
    if not naming.is_repo_id(repo_id, bare=True):
        raise UsageError(
            f"{naming.display(repo_id[:200])!r} cannot be the name of a repository",
            "Write it as owner/name.",
        )
    if revision is not None and (
        not revision.isprintable() or revision in ("", ".", "..") or len(revision) > 255
    ):
        raise UsageError(
            f"{naming.display(revision[:200])!r} cannot be a revision",
            "Give a branch, a tag, refs/pr/NUMBER or a whole commit.",
        )


def _closest(name: str, names: Sequence[str], *, cutoff: float) -> list[str]:
    """The likest of ``names``, whatever their case."""
    spelled = {one.lower(): one for one in reversed(names)}
    found = difflib.get_close_matches(name.lower(), spelled, n=SHOWN, cutoff=cutoff)
    return [spelled[one] for one in found]
