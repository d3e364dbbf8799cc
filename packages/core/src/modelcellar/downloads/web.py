"""What can be downloaded from a mere address: one file whose SHA-256 the user knows.

Its query may hold secrets, as those of signed links do: nothing but the request shows it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urldefrag, urlsplit

from modelcellar import naming
from modelcellar.answers.cached import Network
from modelcellar.downloads.file_names import file_name
from modelcellar.downloads.sizing import probe
from modelcellar.errors import (
    AnswerRefusedError,
    CellarError,
    NotPublishedError,
    SignInNeededError,
    UsageError,
)
from modelcellar.network.http import Response, display_url, is_loopback, origin_of
from modelcellar.remotes import Remote, RemoteFile

__all__ = ["PROVIDER", "WebFiles"]

PROVIDER = "web"
_PAGES = (".htm", ".html", ".xhtml")


class WebFiles:
    """Files at addresses of their own, anywhere."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def remote(self, url: str, sha256: str) -> Remote:
        """The file at ``url``, which has to have that digest.

        Raises:
            UsageError: that is no address that can be asked, or no SHA-256.
            NotPublishedError: there is nothing.
            SignInNeededError: the host gives it to some only.
            NetworkError: the host could not be asked, or does not tell how large the file is.
        """
        url, digest = _address(url), sha256.strip().lower().removeprefix("sha256:")
        if not naming.is_digest(digest):
            raise UsageError(
                f"{naming.display(sha256[:80])!r} is no SHA-256", "It has 64 digits: 0-9 and a-f."
            )
        page = display_url(url)

        def refuse(response: Response) -> CellarError:
            return self.refusal(response.status, response.headers, repo_id=page, path=page)

        response, size = await probe(self._network, url, refuse=refuse)
        name = file_name(response.headers, (url, response.url))
        if _is_page(response.headers) and not name.lower().endswith(_PAGES):
            raise _page_instead(page)
        stem = name.rpartition(".")[0] or name
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        file = RemoteFile(name, url, size, sha256=digest)
        return Remote(PROVIDER, stem, (file,), page=page, fetched_at=at)

    def refusal(
        self, status: int, headers: Mapping[str, str], *, repo_id: str | None, path: str
    ) -> CellarError:
        """What it means that a host answers the request for a file with ``status``.

        ``repo_id`` is nothing here, or the address without its query. A page for people with status
        200 is a refusal too.
        """
        shown = naming.display(repo_id or path)
        if status == 200 and _is_page(headers):
            return _page_instead(shown)
        if status in (401, 403):
            return SignInNeededError(
                f"the host does not give {shown} to everybody ({status})",
                "A signed link may have ended: get a new one. Passwords and tokens are not sent.",
            )
        if status in (404, 410):
            return NotPublishedError(f"there is no {shown} ({status})", "Check the address.")
        return AnswerRefusedError(f"the host refuses {shown} ({status})", "Try it again later.")


def _is_page(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").lower().startswith("text/html")


def _page_instead(shown: str) -> AnswerRefusedError:
    return AnswerRefusedError(
        f"{shown} is a page for people, not a file",
        "Give the address of the file itself. The host may also want a login first.",
    )


def _address(url: str) -> str:
    """The address without its fragment, if it may be asked.

    Raises:
        UsageError: it may not.
    """
    try:
        address = urldefrag(url.strip()).url
        origin = origin_of(address)
        has_user = "@" in urlsplit(address).netloc
    except ValueError:
        raise UsageError(
            f"{naming.display(display_url(url))!r} is no address of a file",
            "Write it whole: https://host/path/file.safetensors",
        ) from None
    if has_user:
        raise UsageError(
            "addresses with a user or a password are not asked",
            "Use one without, or a signed link.",
        )
    if origin.startswith("http:") and not is_loopback(origin):
        raise UsageError(f"{display_url(address)} is not encrypted", "Use an https address.")
    return address
