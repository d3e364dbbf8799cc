"""``GET /api/models``, quick search, and the pages that long answers come in."""

import base64
import json
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlencode

from tests.support.fake_hub.clock import iso
from tests.support.fake_hub.messages import Request, Response, json_answer
from tests.support.fake_hub.refusals import bad_request
from tests.support.fake_hub.repos import FakeRepo
from tests.support.fake_hub.shapes import EXPANDABLE, listed_model

__all__ = ["expanded", "models", "page_of", "quick_search"]

_SORTS: dict[str, Callable[[FakeRepo], object]] = {
    "createdAt": lambda repo: iso(repo.created_at),
    "downloads": lambda repo: repo.downloads,
    "lastModified": lambda repo: iso(repo.last_modified),
    "likes": lambda repo: repo.likes,
    "likes30d": lambda repo: repo.likes,
    "trendingScore": lambda repo: repo.likes,
    "id": lambda repo: repo.repo_id,
}
_COUNTED = ("datasets", "spaces", "papers", "collections", "buckets", "kernels")
_NOT_COUNTED = ("orgs", "users")


def expanded(request: Request) -> tuple[str, ...]:
    """The properties asked for with ``expand``.

    Raises:
        RefusalError: one of them does not exist; the message lists those that do.
    """
    names = request.values("expand")
    unknown = [name for name in names if name not in EXPANDABLE]
    if unknown:
        allowed = ", ".join(EXPANDABLE)
        raise bad_request(f'"expand" must be one of [{allowed}], got {unknown[0]}')
    return names


def number(request: Request, name: str, default: int) -> int:
    """A positive whole number of the query."""
    text = request.value(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise bad_request(f'"{name}" must be a positive number')
    return int(text)


def page_of(
    request: Request, found: Sequence[object], *, page_size: int, base_url: str
) -> Response:
    """One page, with a ``Link`` to the next one that keeps all other parameters."""
    size = min(number(request, "limit", page_size), page_size)
    start = _read_cursor(request.value("cursor"))
    end = start + size
    headers = {}
    if end < len(found):
        kept = [(name, value) for name, value in request.query if name != "cursor"]
        # The cursor is base64 with padding, so a client that does not take it as it is breaks it.
        query = urlencode([*kept, ("cursor", _cursor(end))], quote_via=quote)
        headers["Link"] = f'<{base_url}{request.raw_path}?{query}>; rel="next"'
    return json_answer(list(found[start:end]), headers=headers)


def _cursor(place: int) -> str:
    return base64.b64encode(json.dumps({"$after": place}).encode()).decode()


def _read_cursor(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        return int(json.loads(base64.b64decode(cursor, validate=True))["$after"])
    except (KeyError, TypeError, ValueError):
        raise bad_request("Invalid cursor") from None


def models(
    request: Request, repos: Sequence[FakeRepo], *, page_size: int, base_url: str
) -> Response:
    """The models that all conditions of the query fit."""
    expand = expanded(request)
    if expand and any(request.flag(name) for name in ("full", "cardData", "config")):
        raise bad_request('"expand" cannot be combined with "full", "cardData" or "config"')
    sort = request.value("sort", "trendingScore")
    if sort not in _SORTS:
        raise bad_request(f'"sort" must be one of [{", ".join(_SORTS)}]')
    found = [repo for repo in repos if _fits(request, repo)]
    found.sort(key=lambda repo: repo.repo_id)
    found.sort(key=_SORTS[sort], reverse=sort != "id")  # type: ignore[arg-type]
    full = request.flag("full")
    extra = tuple(name for name in ("cardData", "config") if request.flag(name))
    shown = [listed_model(repo, expand=expand, full=full, extra=extra) for repo in found]
    return page_of(request, shown, page_size=page_size, base_url=base_url)


def _fits(request: Request, repo: FakeRepo) -> bool:
    """Whether all conditions that are known here hold; others are not looked at."""
    # However many words there are: it is the id that has to contain all of them as one text.
    if request.value("search").lower() not in repo.repo_id.lower():
        return False
    author = request.value("author")
    if author and author.lower() != repo.author.lower():
        return False
    gated = request.value("gated")
    if gated and request.flag("gated") != bool(repo.gated):
        return False
    tags = repo.all_tags()
    wanted = [*request.values("filter"), *request.values("pipeline_tag")]
    # Old clients join several tags with commas.
    return all(tag in tags for text in wanted for tag in text.split(","))


def quick_search(request: Request, repos: Sequence[FakeRepo]) -> Response:
    """Names only, 20 of them at most; of what is not a model there is nothing here.

    Source: the OpenAPI description of ``/api/quicksearch``.
    """
    text = request.value("q").lower()
    limit = number(request, "limit", 20)
    if limit > 20:
        raise bad_request('"limit" must be less than or equal to 20')
    kinds = request.values("type")
    found = [repo for repo in repos if text in repo.repo_id.lower()]
    if kinds and "model" not in kinds:
        found = []
    names = [
        {"id": repo.repo_id, "private": repo.private, "trendingWeight": repo.likes}
        for repo in found[:limit]
    ]
    nothing: dict[str, object] = {name: [] for name in (*_COUNTED, *_NOT_COUNTED)}
    nothing |= {f"{name}Count": 0 for name in _COUNTED}
    shown = {"models": names, "modelsCount": len(found), "q": request.value("q")}
    return json_answer({**nothing, **shown})
