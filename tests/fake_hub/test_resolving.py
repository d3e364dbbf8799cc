"""Files: redirects, signed links, the cache of small files, pointers, parts."""

import gzip
import hashlib
from collections.abc import Callable

import httpx
import pytest

from tests.fake_hub.contents import FILES, WEIGHTS
from tests.support.fake_hub import FakeHub, FakeRepo

SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
LARGE = "/acme/toy/resolve/main/model.safetensors"
SMALL = "/acme/toy/resolve/main/config.json"
GZIP = {"Accept-Encoding": "gzip, deflate"}


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_large_file_is_on_another_host(
    fake_hub: FakeHub, client: httpx.Client, toy: FakeRepo, method: str
) -> None:
    answer = client.request(method, LARGE)
    assert answer.status_code == 302
    headers = answer.headers
    assert headers["X-Repo-Commit"] == toy.sha
    assert headers["X-Linked-ETag"] == f'"{SHA256}"'
    assert headers["X-Linked-Size"] == str(len(WEIGHTS))
    assert headers["X-Xet-Hash"] == toy.head.files["model.safetensors"].xet_hash
    assert SHA256 not in headers["ETag"]
    assert headers["Content-Length"] == str(len(f"Found. Redirecting to {headers['location']}"))
    place = httpx.URL(headers["location"])
    assert place.host != httpx.URL(fake_hub.hub_url).host
    assert str(place).startswith(fake_hub.cdn_url)


def test_the_cdn_has_the_bytes_under_another_hash(
    client: httpx.Client, link: Callable[[], str], toy: FakeRepo
) -> None:
    answer = client.get(link())
    assert answer.content == WEIGHTS
    assert answer.headers["ETag"] == f'"{toy.head.files["model.safetensors"].xet_hash}"'
    assert answer.headers["ETag"] != f'"{SHA256}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert "model.safetensors" in answer.headers["Content-Disposition"]
    head = client.head(link())
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(WEIGHTS)))


@pytest.mark.parametrize(
    ("asked", "expected", "shown"),
    [
        ("bytes=0-9", WEIGHTS[:10], "bytes 0-9/10240"),
        ("bytes=10239-", WEIGHTS[-1:], "bytes 10239-10239/10240"),
        ("bytes=-5", WEIGHTS[-5:], "bytes 10235-10239/10240"),
        ("bytes=10000-99999", WEIGHTS[10000:], "bytes 10000-10239/10240"),
    ],
)
def test_parts(
    client: httpx.Client, link: Callable[[], str], asked: str, expected: bytes, shown: str
) -> None:
    answer = client.get(link(), headers={"Range": asked, "Accept-Encoding": "identity"})
    assert (answer.status_code, answer.content) == (206, expected)
    assert answer.headers["Content-Range"] == shown
    assert answer.headers["Content-Length"] == str(len(expected))


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=99999-100000", "bytes=-0"])
def test_no_such_part(client: httpx.Client, link: Callable[[], str], asked: str) -> None:
    answer = client.get(link(), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["Content-Range"] == "bytes */10240"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=-", "items=0-1", "bytes=9-1"])
def test_what_is_no_plain_range_gets_everything(
    client: httpx.Client, link: Callable[[], str], asked: str
) -> None:
    answer = client.get(link(), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, WEIGHTS)


def test_if_range(fake_hub: FakeHub, client: httpx.Client, link: Callable[[], str]) -> None:
    etag = client.head(link()).headers["ETag"]

    def status(condition: str) -> int:
        return client.get(link(), headers={"Range": "bytes=5-", "If-Range": condition}).status_code

    assert (status(etag), status('"other"')) == (206, 200)
    fake_hub.settings.heeds_if_range = False
    assert status('"other"') == 206


def test_a_link_ends_after_an_hour(
    fake_hub: FakeHub, client: httpx.Client, link: Callable[[], str]
) -> None:
    old = link()
    fake_hub.clock.advance(3599)
    assert client.get(old).status_code == 200
    fake_hub.clock.advance(1)
    late = client.get(old)
    assert late.status_code == 403
    assert late.headers["Content-Type"] == "application/xml"
    assert "<Code>AccessDenied</Code>" in late.text
    assert client.get(link()).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"),
        lambda url: url.replace("Expires=1", "Expires=2"),
        lambda url: url.partition("?")[0],
    ],
)
def test_a_changed_link_is_no_link(
    client: httpx.Client, link: Callable[[], str], change: Callable[[str], str]
) -> None:
    assert client.get(change(link())).status_code == 403


def test_a_credential_on_the_cdn_is_refused_and_recorded(
    fake_hub: FakeHub, client: httpx.Client, link: Callable[[], str]
) -> None:
    answer = client.get(link(), headers={"Authorization": "Bearer hf_secret"})
    assert answer.status_code == 400
    assert [entry.authorization for entry in fake_hub.log.leaks] == ["Bearer hf_secret"]
    fake_hub.log.clear()


def test_a_small_file_is_in_the_cache_of_the_hub(client: httpx.Client, toy: FakeRepo) -> None:
    answer = client.get(SMALL)
    assert answer.status_code == 307
    location = answer.headers["location"]
    assert location.startswith(f"/api/resolve-cache/models/acme/toy/{toy.sha}/config.json?")
    assert answer.headers["X-Repo-Commit"] == toy.sha
    found = client.get(location)
    assert (found.status_code, found.content) == (200, FILES["config.json"])
    assert found.headers["ETag"] == f'"{toy.head.files["config.json"].oid}"'
    assert found.headers["X-Repo-Commit"] == toy.sha
    part = client.get(location, headers={"Range": "bytes=1-4"})
    assert (part.status_code, part.content) == (206, FILES["config.json"][1:5])


@pytest.mark.usefixtures("toy")
def test_the_cache_wants_a_commit(client: httpx.Client) -> None:
    for rest in ("/main/config.json", "/main", ""):
        answer = client.get(f"/api/resolve-cache/models/acme/toy{rest}")
        assert answer.status_code == 400


def test_text_is_compressed_without_a_length(client: httpx.Client, toy: FakeRepo) -> None:
    url = f"/api/resolve-cache/models/acme/toy/{toy.sha}/config.json"
    with client.stream("GET", url, headers={**GZIP, "Range": "bytes=1-4"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.status_code == 200
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Content-Length" not in answer.headers
    assert gzip.decompress(raw) == FILES["config.json"]


def test_the_cdn_may_compress_and_then_ignores_ranges(
    fake_hub: FakeHub, client: httpx.Client, link: Callable[[], str]
) -> None:
    def part() -> httpx.Response:
        return client.get(link(), headers={**GZIP, "Range": "bytes=5-9"})

    assert (part().status_code, part().content) == (206, WEIGHTS[5:10])
    fake_hub.settings.cdn_compresses_everything = True
    assert (part().status_code, part().content) == (200, WEIGHTS)
    assert part().headers["Content-Encoding"] == "gzip"


def test_not_again_what_the_client_has(client: httpx.Client, toy: FakeRepo) -> None:
    small = toy.head.files["config.json"].oid
    cached = f"/api/resolve-cache/models/acme/toy/{toy.sha}/config.json"
    for url, etag in ((LARGE, SHA256), (SMALL, small), (cached, small)):
        same = client.get(url, headers={"If-None-Match": f'"{etag}"'})
        assert (same.status_code, same.content) == (304, b"")
        other = client.get(url, headers={"If-None-Match": '"other"'})
        assert other.status_code != 304


def test_what_git_has(client: httpx.Client, toy: FakeRepo) -> None:
    pointer = client.get("/acme/toy/raw/main/model.safetensors")
    assert pointer.content == toy.head.files["model.safetensors"].pointer
    assert f"oid sha256:{SHA256}" in pointer.text
    plain = client.get("/acme/toy/raw/main/config.json", headers={"If-None-Match": "*"})
    assert (plain.status_code, plain.content) == (200, FILES["config.json"])


@pytest.mark.parametrize("slash", ["/", "%2F"])
@pytest.mark.usefixtures("toy")
def test_spaces_and_slashes_in_paths(client: httpx.Client, slash: str) -> None:
    path = slash.join(["text%20encoder", "sub", "config.json"])
    found = client.get(f"/acme/toy/resolve/main/{path}", follow_redirects=True)
    assert found.content == b"{}"


def test_xet(fake_hub: FakeHub, client: httpx.Client, toy: FakeRepo) -> None:
    xet_hash = toy.head.files["model.safetensors"].xet_hash
    accept = {"Accept": "application/vnd.xet-fileinfo+json"}
    info = client.get(LARGE, headers=accept).json()
    assert (info["hash"], info["etag"], info["size"]) == (xet_hash, SHA256, len(WEIGHTS))
    token = client.get(info["refreshUrl"])
    assert token.json()["accessToken"] == token.headers["X-Xet-Access-Token"]
    assert 'rel="xet-auth"' in client.head(LARGE).headers["Link"]
    fake_hub.settings.sends_xet_hash = False
    assert not {"X-Xet-Hash", "Link"} & set(client.head(LARGE).headers)


def test_main_moves_and_a_commit_does_not(client: httpx.Client, toy: FakeRepo) -> None:
    first = toy.sha
    second = toy.commit({"model.safetensors": b"other"})
    by_revision = {
        revision: client.head(f"/acme/toy/resolve/{revision}/model.safetensors").headers
        for revision in ("main", first)
    }
    assert by_revision["main"]["X-Repo-Commit"] == second
    assert by_revision["main"]["X-Linked-Size"] == "5"
    assert by_revision[first]["X-Linked-ETag"] == f'"{SHA256}"'
