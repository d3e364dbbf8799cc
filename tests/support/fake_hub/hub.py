"""The Hub: which request goes where, who may see what, and how much is left of the quotas."""

import hashlib
import itertools
import json
from collections.abc import Iterable
from urllib.parse import parse_qs, quote

from tests.support.fake_hub.access import Access, Caller
from tests.support.fake_hub.cdn import Cdn
from tests.support.fake_hub.clock import FakeClock
from tests.support.fake_hub.faults import TOO_MANY_TEXT
from tests.support.fake_hub.limits import RateLimits, bucket_of
from tests.support.fake_hub.listing import expanded, models, page_of, quick_search
from tests.support.fake_hub.messages import Request, Response, html, is_true, json_answer, text
from tests.support.fake_hub.refusals import (
    RefusalError,
    bad_request,
    entry_missing,
    revision_missing,
)
from tests.support.fake_hub.repos import Commit, FakeRepo
from tests.support.fake_hub.resolving import Resolver
from tests.support.fake_hub.settings import Settings
from tests.support.fake_hub.shapes import entries, entry, model, refs, scan_summary

__all__ = ["Hub"]

MAX_PATHS = 2000
XET_TOKEN_LIFE_S = 900
_READS = frozenset({"GET", "HEAD"})


class Hub:
    """``url`` is set by whoever starts it. ``renamed`` maps old ids, one word or two, to new,
    and ``impostors`` ids to what the answer for them calls itself."""

    name = "hub"

    def __init__(
        self,
        repos: Iterable[FakeRepo],
        *,
        cdn: Cdn,
        clock: FakeClock,
        access: Access,
        settings: Settings,
    ) -> None:
        self.url = ""
        self.renamed: dict[str, str] = {}
        self.impostors: dict[str, str] = {}
        self.limits = RateLimits(clock)
        self._repos: dict[str, FakeRepo] = {}
        self._cdn = cdn
        self._clock = clock
        self._access = access
        self._settings = settings
        self._resolver = Resolver(cdn, settings)
        self._numbers = itertools.count(1)
        for repo in repos:
            self.add(repo)

    def add(self, repo: FakeRepo) -> FakeRepo:
        self._repos = {**self._repos, repo.repo_id: repo}
        return repo

    def remove(self, repo_id: str) -> None:
        self._repos = {name: repo for name, repo in self._repos.items() if name != repo_id}

    def repo(self, repo_id: str) -> FakeRepo:
        return self._repos[repo_id]

    def label(self, request: Request) -> str:
        return request.path

    def answer(self, request: Request) -> Response:
        caller = self._access.caller(request)
        allowance = self.limits.count(bucket_of(request.segments), caller.client, caller.plan)
        if allowance.is_over:
            response = text(TOO_MANY_TEXT.format(ip=request.client), 429)
        else:
            try:
                response = self._route(request, caller)
            except RefusalError as refusal:
                response = refusal.response
        stamp = {"Date": self._clock.http_date(), "X-Request-Id": f"Root=1-{next(self._numbers):x}"}
        return response.with_headers({**stamp, **allowance.headers()})

    def _route(self, request: Request, caller: Caller) -> Response:
        match request.segments:
            case ("api", "models"):
                return self._models(request, caller)
            case ("api", "quicksearch"):
                return quick_search(request, self._visible(caller))
            case ("api", "models", *_):
                repo, rest = self._repo_of(request, 2)
                return self._api(request, caller, repo, tuple(rest))
            case ("api", "resolve-cache", "models", *_):
                repo, rest = self._repo_of(request, 3)
                checked = self._access.check(caller, repo, wants_bytes=True)
                if len(rest) < 2:
                    raise bad_request("A commit and a path are needed here")
                return self._resolver.cached(request, checked, rest[0], "/".join(rest[1:]))
            case ("api", *_):
                return json_answer({"error": "Sorry, there is no such page"}, 404)
            case _:
                repo, rest = self._repo_of(request, 0)
                return self._files(request, caller, repo, tuple(rest))

    def _models(self, request: Request, caller: Caller) -> Response:
        page = self._settings.models_page
        return models(request, self._visible(caller), page_size=page, base_url=self.url)

    def _visible(self, caller: Caller) -> list[FakeRepo]:
        return [
            repo
            for repo in self._repos.values()
            if not repo.disabled and (not repo.private or caller.may_read(repo))
        ]

    def _repo_of(self, request: Request, start: int) -> tuple[FakeRepo | None, list[str]]:
        """The repository a path names, and the parts after its name.

        Raises:
            RefusalError: a redirect, when it is known under another name or other letter case.
        """
        parts = list(request.segments[start:])
        repo = self._repos.get("/".join(parts[:2]))
        if repo is not None:
            return repo, parts[2:]
        known = {name.lower(): name for name in self._repos} | {
            old.lower(): new for old, new in self.renamed.items()
        }
        for words in (2, 1):
            new = known.get("/".join(parts[:words]).lower())
            if new is not None and len(parts) >= words:
                raw = request.raw_path.strip("/").split("/")
                place = "/".join([*raw[:start], quote(new), *raw[start + words :]])
                query = f"?{request.raw_query}" if request.raw_query else ""
                location = f"/{place}{query}"
                shown = f"Temporary Redirect. Redirecting to {location}"
                raise RefusalError(text(shown, 307, headers={"Location": location}))
        return None, parts[2:]

    def _api(
        self, request: Request, caller: Caller, found: FakeRepo | None, rest: tuple[str, ...]
    ) -> Response:
        repo = self._access.check(caller, found, wants_bytes=False)
        match (request.method, *rest):
            case ("GET" | "HEAD",):
                return self._model(request, repo, "main")
            case ("GET" | "HEAD", "revision", revision):
                return self._model(request, repo, revision)
            case ("GET" | "HEAD", "tree", revision, *path):
                return self._tree(request, repo, _commit(repo, revision), "/".join(path).strip("/"))
            case ("POST", "paths-info", revision):
                return _paths_info(request, repo, _commit(repo, revision))
            case ("GET" | "HEAD", "refs"):
                return json_answer(refs(repo, pull_requests=request.flag("include_prs")))
            case ("GET" | "HEAD", "scan"):
                return json_answer(scan_summary(repo, repo.head))
            case ("GET" | "HEAD", "xet-read-token", revision):
                return self._xet_token(_commit(repo, revision))
            case _:
                return json_answer({"error": "Not Found"}, 404)

    def _model(self, request: Request, repo: FakeRepo, revision: str) -> Response:
        commit = _commit(repo, revision)
        expand = expanded(request)
        blobs, security = request.flag("blobs"), request.flag("securityStatus")
        if expand and (blobs or security):
            raise bad_request('"expand" cannot be combined with "blobs" or "securityStatus"')
        blobs = blobs and self._settings.tells_sizes
        shown = model(repo, commit, expand=expand, blobs=blobs, security=security)
        if repo.repo_id in self.impostors:
            shown["id"] = self.impostors[repo.repo_id]
        return json_answer(shown, headers={"X-Repo-Commit": commit.id})

    def _tree(self, request: Request, repo: FakeRepo, commit: Commit, folder: str) -> Response:
        expand = request.flag("expand")
        found = entries(repo, commit, folder, recursive=request.flag("recursive"), expand=expand)
        if found is None:
            raise entry_missing(commit.id)
        page = self._settings.tree_page_expanded if expand else self._settings.tree_page
        response = page_of(request, found, page_size=page, base_url=self.url)
        return response.with_headers({"X-Repo-Commit": commit.id})

    def _xet_token(self, commit: Commit) -> Response:
        """A token for chunks. There is no store of chunks: clients have to do without Xet."""
        secret = hashlib.sha256(commit.id.encode()).hexdigest()
        expires = int(self._clock.now()) + XET_TOKEN_LIFE_S
        shown = {"casUrl": self._cdn.url, "exp": expires, "accessToken": f"xet_{secret}"}
        headers = {
            "X-Xet-Cas-Url": self._cdn.url,
            "X-Xet-Token-Expiration": str(expires),
            "X-Xet-Access-Token": f"xet_{secret}",
        }
        return json_answer(shown, headers=headers)

    def _files(
        self, request: Request, caller: Caller, found: FakeRepo | None, rest: tuple[str, ...]
    ) -> Response:
        match rest:
            case (("resolve" | "raw") as kind, revision, *path) if request.method in _READS:
                repo = self._access.check(caller, found, wants_bytes=True)
                if kind == "raw":
                    return self._resolver.raw(repo, revision, "/".join(path))
                return self._resolver.resolve(
                    request, repo, revision, "/".join(path), hub_url=self.url
                )
            case () if found is not None or request.path == "/":
                return html("<!DOCTYPE html><html><head><title>Fake Hub</title></head></html>\n")
            case _:
                return html("<!DOCTYPE html><html><body>404</body></html>\n", 404)


def _commit(repo: FakeRepo, revision: str) -> Commit:
    commit = repo.find(revision)
    if commit is None:
        raise revision_missing(revision)
    return commit


def _paths_info(request: Request, repo: FakeRepo, commit: Commit) -> Response:
    """Entries for the paths of a form or of JSON; what does not exist is left out."""
    if (request.header("content-type") or "").startswith("application/json"):
        try:
            asked = json.loads(request.body)
            paths, expand = list(asked["paths"]), bool(asked.get("expand", False))
        except (KeyError, TypeError, ValueError):
            raise bad_request('"paths" is required') from None
    else:
        form = parse_qs(request.body.decode())
        paths = form.get("paths", [])
        expand = is_true(form.get("expand", ["false"])[0])
    if len(paths) > MAX_PATHS:
        raise bad_request(f'"paths" must contain less than or equal to {MAX_PATHS} items')
    found = [entry(repo, commit, path, expand=expand) for path in paths]
    return json_answer(
        [one for one in found if one is not None], headers={"X-Repo-Commit": commit.id}
    )
