"""Files of repositories: ``resolve``, ``resolve-cache`` and ``raw``."""

import mimetypes
import re
from urllib.parse import quote

from tests.support.fake_hub.cdn import Cdn
from tests.support.fake_hub.messages import Request, Response, json_answer, text
from tests.support.fake_hub.ranges import compressed, is_compressible, matches, part_of
from tests.support.fake_hub.refusals import bad_request, entry_missing, revision_missing
from tests.support.fake_hub.repos import Commit, FakeRepo, RepoFile
from tests.support.fake_hub.settings import Settings

__all__ = ["Resolver"]

XET_FILE_INFO = "application/vnd.xet-fileinfo+json"
_WHOLE_COMMIT = re.compile("[0-9a-f]{40}", re.ASCII)


class Resolver:
    """Answers for single files; who may have them has been decided before."""

    def __init__(self, cdn: Cdn, settings: Settings) -> None:
        self._cdn = cdn
        self._settings = settings

    def resolve(
        self, request: Request, repo: FakeRepo, revision: str, path: str, *, hub_url: str
    ) -> Response:
        """302 to a signed link for a file in LFS, a relative 307 to the cache for others."""
        commit, file = _found(repo, revision, path)
        if file.sha256 is None:
            return _to_cache(request, repo, commit, file)
        headers = {
            "X-Repo-Commit": commit.id,
            "X-Linked-Size": str(file.size_bytes),
            "X-Linked-ETag": f'"{file.sha256}"',
            "Accept-Ranges": "bytes",
        }
        if matches(request, file.sha256):
            return Response(304, {**headers, "ETag": f'"{file.sha256}"'})
        api = f"{hub_url}/api/models/{repo.repo_id}"
        token_url = f"{api}/xet-read-token/{commit.id}"
        plan_url = f"{self._cdn.url}/v1/reconstructions/{file.xet_hash}"
        if XET_FILE_INFO in (request.header("accept") or ""):
            info = {
                "hash": file.xet_hash,
                "refreshUrl": token_url,
                "reconstructionUrl": plan_url,
                "etag": file.sha256,
                "size": file.size_bytes,
            }
            return json_answer(info, headers={**headers, "Content-Type": XET_FILE_INFO})
        if self._settings.sends_xet_hash:
            headers["X-Xet-Hash"] = file.xet_hash
            headers["Link"] = (
                f'<{token_url}>; rel="xet-auth", <{plan_url}>; rel="xet-reconstruction-info"'
            )
        location = self._cdn.signed_url(
            f"/xet-bridge-us/{repo.internal_id}/{file.xet_hash}",
            file.content,
            etag=file.xet_hash,
            label=f"{repo.repo_id}/{path}",
        )
        headers |= {"Location": location, "ETag": f'W/"{len(location):x}-{file.oid[:27]}"'}
        return text(f"Found. Redirecting to {location}", 302, headers=headers)

    def cached(self, request: Request, repo: FakeRepo, revision: str, path: str) -> Response:
        """The content of a small file at one commit."""
        if not _WHOLE_COMMIT.fullmatch(revision):
            raise bad_request("Invalid commit: a whole commit id is needed here")
        commit, file = _found(repo, revision, path)
        content_type = mimetypes.guess_type(path)[0] or "text/plain"
        headers = {
            "Content-Type": content_type,
            "X-Repo-Commit": commit.id,
            "ETag": f'"{file.oid}"',
            "Content-Disposition": f"inline; filename*=UTF-8''{quote(path.rpartition('/')[2])}",
        }
        if matches(request, file.oid):
            return Response(304, headers)
        if request.accepts_gzip() and is_compressible(content_type):
            return compressed(file.content, headers)
        return part_of(request, file.content, headers)

    def raw(self, repo: FakeRepo, revision: str, path: str) -> Response:
        """What git has, which is a pointer for a file in LFS; never 304."""
        commit, file = _found(repo, revision, path)
        body = file.pointer if file.is_lfs else file.content
        headers = {
            "Content-Type": "text/plain; charset=utf-8",
            "X-Repo-Commit": commit.id,
            "ETag": f'"{file.oid}"',
        }
        return Response(200, headers, body)


def _found(repo: FakeRepo, revision: str, path: str) -> tuple[Commit, RepoFile]:
    commit = repo.find(revision)
    if commit is None:
        raise revision_missing(revision)
    if path not in commit.files:
        raise entry_missing(commit.id)
    return commit, commit.files[path]


def _to_cache(request: Request, repo: FakeRepo, commit: Commit, file: RepoFile) -> Response:
    if matches(request, file.oid):
        return Response(304, {"X-Repo-Commit": commit.id, "ETag": f'"{file.oid}"'})
    place = f"/api/resolve-cache/models/{repo.repo_id}/{commit.id}/{quote(file.path)}"
    # The path that was asked for and the entity tag keep the caches of edges apart.
    location = f"{place}?{quote(request.path, safe='')}=&etag={quote(chr(34) + file.oid + chr(34))}"
    headers = {"X-Repo-Commit": commit.id, "Location": location, "Accept-Ranges": "bytes"}
    return text(f"Temporary Redirect. Redirecting to {location}", 307, headers=headers)
