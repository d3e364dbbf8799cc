"""The host that large files come from: signed links that end, parts, and no credentials."""

import base64
import hashlib
import hmac
import json
import threading
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from tests.support.fake_hub.clock import FakeClock
from tests.support.fake_hub.messages import Request, Response
from tests.support.fake_hub.ranges import compressed, is_compressible, part_of
from tests.support.fake_hub.settings import Settings

__all__ = ["Cdn"]

KEY = b"the key of this fake"
KEY_ID = "KFAKEFAKEFAKE"


@dataclass(frozen=True, slots=True)
class _Stored:
    content: bytes | memoryview
    etag: str
    label: str
    file_name: str
    content_type: str


class Cdn:
    """Serves what was signed. ``url`` is set by whoever starts it."""

    name = "cdn"

    def __init__(self, *, clock: FakeClock, settings: Settings) -> None:
        self.url = ""
        self._clock = clock
        self._settings = settings
        self._lock = threading.Lock()
        self._stored: dict[str, _Stored] = {}

    def signed_url(
        self,
        path: str,
        content: bytes | memoryview,
        *,
        etag: str,
        label: str,
        content_type: str = "application/octet-stream",
    ) -> str:
        """A link to some content that is good for ``Settings.signed_life_s`` seconds from now."""
        file_name = label.rpartition("/")[2]
        with self._lock:
            self._stored[path] = _Stored(content, etag, label, file_name, content_type)
        expires = int(self._clock.now() + self._settings.signed_life_s)
        query = {
            "response-content-disposition": _disposition(file_name),
            "response-content-type": content_type,
            "Expires": str(expires),
            "Policy": _policy(path, expires),
            "Key-Pair-Id": KEY_ID,
        }
        query["Signature"] = _signature(path, query)
        return f"{self.url}{quote(path)}?{urlencode(query)}"

    def label(self, request: Request) -> str:
        stored = self._stored.get(request.path)
        return stored.label if stored else request.path

    def answer(self, request: Request) -> Response:
        if request.header("authorization") is not None:
            return _xml(400, "InvalidRequest", "Only one auth mechanism allowed")
        query = dict(request.query)
        signature = query.pop("Signature", None)
        if signature is None:
            return _xml(403, "MissingKey", "Missing Key-Pair-Id query parameter or cookie value")
        if not hmac.compare_digest(signature, _signature(request.path, query)):
            return _xml(403, "AccessDenied", "Access denied")
        if self._clock.now() >= int(query["Expires"]):
            return _xml(403, "AccessDenied", "Access denied")
        stored = self._stored.get(request.path)
        if stored is None or request.method not in {"GET", "HEAD"}:
            return _xml(403, "AccessDenied", "Access denied")
        return self._content(request, stored)

    def _content(self, request: Request, stored: _Stored) -> Response:
        headers = {
            "Content-Type": stored.content_type,
            "Content-Disposition": _disposition(stored.file_name),
            # 64 digits that look like a SHA-256 of the content and are not.
            "ETag": f'"{stored.etag}"',
            "Cache-Control": "public, max-age=31536000",
            "Date": self._clock.http_date(),
            "X-Cache": "Miss from cloudfront",
        }
        everything = self._settings.cdn_compresses_everything
        if request.accepts_gzip() and (everything or is_compressible(stored.content_type)):
            return compressed(stored.content, headers)
        return part_of(
            request, stored.content, headers, heed_if_range=self._settings.heeds_if_range
        )


def _disposition(file_name: str) -> str:
    return f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"


def _policy(path: str, expires: int) -> str:
    condition = {"DateLessThan": {"AWS:EpochTime": expires}}
    statement = {"Statement": [{"Resource": f"*{path}*", "Condition": condition}]}
    return base64.urlsafe_b64encode(json.dumps(statement).encode()).decode()


def _signature(path: str, query: dict[str, str]) -> str:
    signed = json.dumps([path, sorted(query.items())]).encode()
    return hmac.new(KEY, signed, hashlib.sha256).hexdigest()


def _xml(status: int, code: str, message: str) -> Response:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    return Response(status, {"Content-Type": "application/xml"}, body.encode())
