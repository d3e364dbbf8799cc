"""The Hub's API as this program uses it: searches, and what is in a repository.

"Not there", "renamed" and "private" are answers, not errors. Everything that a listing tells of
digests goes into the oid index, so that no file of a repository once seen is asked for again.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode, urlsplit

from modelcellar import naming
from modelcellar.answers.cached import MISS_S, Answer, CachedNetwork
from modelcellar.answers.reading import document_of
from modelcellar.answers.signed import SignedNetwork
from modelcellar.errors import LibraryBusyError, LibraryFormatError, SignInNeededError
from modelcellar.hf.cache import CARD_S, MODEL_INFO_S, SEARCH_S
from modelcellar.hf.model_card import summary_of
from modelcellar.hf.oid_index import OidIndex
from modelcellar.hf.repositories import FoundRepo, Repository, found_repos, repository
from modelcellar.network.http import Request
from modelcellar.network.secret import Secret
from modelcellar.origins import Listing

log = logging.getLogger(__name__)

__all__ = ["FoundPage", "HubClient", "next_url", "speaks_for"]

MAX_CARD_BYTES = 1 << 20
LISTED_AT_ONCE = 100
PATIENCE_S = 400.0
"""A window of the Hub's quotas lasts 300 s, and who asks about many files waits for the next."""


@dataclass(frozen=True, slots=True)
class FoundPage:
    """One page of a search, and the address of the next."""

    repos: tuple[FoundRepo, ...]
    next_url: str | None = None


class HubClient:
    """One Hub or mirror.

    Args:
        endpoint: address without a slash at the end.
        token: sent to the endpoint's own origin, and nowhere else.
    """

    def __init__(
        self,
        network: CachedNetwork,
        *,
        oids: OidIndex,
        endpoint: str,
        token: Secret | None = None,
    ) -> None:
        self.oids = oids
        self.endpoint = endpoint
        self.signed = SignedNetwork(network, endpoint=endpoint, token=token)

    async def search(
        self, text: str = "", *, author: str = "", filters: tuple[str, ...] = (), limit: int = 50
    ) -> FoundPage:
        """Repositories whose name holds ``text``, the most downloaded first, with their files.

        One call of the ``api`` quota. The Hub looks for ``text`` as it is in the repository's name.

        Raises:
            NetworkError: the Hub could not be asked.
        """
        query = [("search", text), ("author", author), *(("filter", one) for one in filters)]
        query = [(name, value) for name, value in query if value]
        query += [("sort", "downloads"), ("limit", str(limit)), ("expand", "siblings")]
        return await self._page(f"{self.endpoint}/api/models?{urlencode(query)}")

    async def repositories_of(self, author: str, *, limit: int) -> list[str]:
        """Names of an author's repositories, the most downloaded first, at most so many.

        One call of the ``api`` quota for each hundred.

        Raises:
            NetworkError: the Hub could not be asked.
        """
        page = await self.search(author=author, limit=min(limit, LISTED_AT_ONCE))
        ids = [repo.repo_id for repo in page.repos]
        # A page without a repository is the last one, whatever it says of a next.
        while page.next_url is not None and page.repos and len(ids) < limit:
            page = await self._page(page.next_url)
            ids += [repo.repo_id for repo in page.repos]
        return ids[:limit]

    async def repository(self, repo_id: str) -> Repository | None:
        """What is in a repository and what its card says; ``None`` if there is none to be seen.

        One call of the ``api`` quota; a renamed repository is found under its new name.

        Raises:
            NetworkError: the Hub could not be asked.
            SignInNeededError: it is there, and the Hub shows it to those whom it knows.
        """
        if not naming.is_repo_id(repo_id, bare=True):
            return None
        query = "blobs=true&securityStatus=true"
        request = Request("GET", f"{self.endpoint}/api/models/{repo_id}?{query}", bucket="api")
        answer = await self.ask(request, MODEL_INFO_S)
        headers = answer.response.headers
        if headers.get("x-error-code") == "GatedRepo":
            raise SignInNeededError(
                f"{repo_id} is gated",
                f"Accept its terms at {self.page_of(repo_id)}, then run: hf auth login (or set "
                "HF_TOKEN)",
            )
        if answer.response.status == 403 and "x-error-message" in headers:
            return None  # disabled, or not for this token
        found = repository(document_of(answer.response), fetched_at=answer.fetched_at)
        if found is None or not speaks_for(answer.response.url, found.listing.repo_id):
            return None
        await self.remember(found.listing)
        return replace(found, is_stale=answer.is_stale)

    async def summary(self, found: Repository) -> str | None:
        """The first words of a repository's card; ``None`` if it has none.

        Up to two calls of the ``resolvers`` quota, which is the larger one.

        Raises:
            NetworkError: the Hub could not be asked.
        """
        if not found.has_card:
            return None
        listing = found.listing
        url = f"{self.endpoint}/{listing.repo_id}/resolve/{listing.commit}/README.md"
        request = Request("GET", url, bucket="resolvers", max_bytes=MAX_CARD_BYTES)
        answer = await self.ask(request, CARD_S)
        if answer.response.status != 200:
            return None
        return summary_of(answer.response.body)

    def page_of(self, repo_id: str, *, path: str = "", revision: str = "main") -> str:
        """The address for people of a repository or of a file in it."""
        if not path:
            return f"{self.endpoint}/{repo_id}"
        return f"{self.endpoint}/{repo_id}/blob/{quote(revision, safe='')}/{quote(path)}"

    async def remember(self, listing: Listing) -> None:
        """Take a listing into the oid index; where that fails, a warning is logged."""
        # It may wait for the disk or another process.
        await asyncio.to_thread(self._remember, listing)

    def _remember(self, listing: Listing) -> None:
        try:
            self.oids.add(listing, provider=self.endpoint)
        except (LibraryBusyError, LibraryFormatError, OSError) as error:
            # The answer is as good without; it will be asked for once more.
            log.warning("%s is not remembered: %s", listing.repo_id, error)

    async def _page(self, url: str) -> FoundPage:
        answer = await self.ask(Request("GET", url, bucket="api"), SEARCH_S)
        link = answer.response.headers.get("link", "")
        return FoundPage(found_repos(document_of(answer.response)), next_url(link, self.endpoint))

    async def ask(
        self, request: Request, lifetime_s: float | None, *, miss_lifetime_s: float = MISS_S
    ) -> Answer:
        """The Hub's answer; see :class:`modelcellar.answers.signed.SignedNetwork`.

        Raises:
            NetworkError: the Hub could not be asked.
        """
        patient = replace(request, deadline_s=PATIENCE_S)
        return await self.signed.ask(patient, lifetime_s, miss_lifetime_s=miss_lifetime_s)


def speaks_for(url: str, repo_id: str) -> bool:
    """Whether ``url`` is where the API tells of ``repo_id``, at whatever revision.

    Renamed repositories are redirected to; nobody else may speak for the one that was asked.
    """
    place = urlsplit(url).path.rpartition("/api/models/")[2].partition("/revision/")[0]
    return place.lower() == repo_id.lower()


def next_url(link: str, endpoint: str) -> str | None:
    """The address of the next page out of a ``Link`` header; only one of the same host."""
    for part in link.split(","):
        address, _, relation = part.partition(">")
        url = address.strip().removeprefix("<")
        if 'rel="next"' in relation and url.startswith(f"{endpoint}/"):
            return url
    return None
