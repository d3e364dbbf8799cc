"""A file at a mere address: its name and size, what is refused, and whose business its query is."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcellar import naming
from modelcellar.downloads.file_names import file_name
from modelcellar.downloads.web import WebFiles
from modelcellar.errors import (
    AnswerRefusedError,
    CellarError,
    NotPublishedError,
    SignInNeededError,
    UsageError,
)
from modelcellar.network.manager import NetworkManager
from modelcellar.remotes import Remote
from tests.support.fake_hub import FakeHub, FakeRepo
from tests.support.loopback import Answer, Handler, Loopback, Received, serve

SHA256 = "ab" * 32
CONTENT = bytes(range(256)) * 1024
SECRET = "CANARYcanaryCANARY"


def ask(
    handler: Handler, path: str = f"/a/toy.safetensors?sig={SECRET}", *, sha256: str = SHA256
) -> tuple[Remote, Loopback]:
    """What a host that answers so publishes at an address."""

    async def run() -> tuple[Remote, Loopback]:
        async with serve(handler) as host, NetworkManager() as network:
            return await WebFiles(network).remote(host.origin + path, sha256), host

    return asyncio.run(run())


def ranged(request: Received) -> Answer:
    """As nearly every host answers."""
    if request.headers.get("range") != "bytes=0-0":
        return Answer(500)
    return Answer(206, {"Content-Range": f"bytes 0-0/{len(CONTENT)}"}, CONTENT[:1])


def whole(request: Received) -> Answer:
    """As one answers that knows of no ranges."""
    body = b"" if request.method == "HEAD" else CONTENT
    return Answer(200, {"Content-Length": str(len(CONTENT))}, body)


def test_a_file_at_an_address() -> None:
    remote, host = ask(ranged)
    (file,) = remote.files
    assert (file.path, file.size_bytes, file.sha256) == ("toy.safetensors", len(CONTENT), SHA256)
    assert file.url == f"{host.origin}/a/toy.safetensors?sig={SECRET}"
    assert (remote.provider, remote.title, remote.repo_id) == ("web", "toy", None)
    assert remote.page == f"{host.origin}/a/toy.safetensors"
    assert remote.authorization is None
    assert remote.fetched_at.endswith("Z")
    (request,) = host.received
    assert request.headers["accept-encoding"] == "identity"


def test_the_query_shows_itself_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    remote, _ = ask(ranged)
    shown = [repr(remote), str(remote.page), remote.title, *remote.notes, caplog.text]
    for status in (400, 401, 403, 404, 410, 500):
        with pytest.raises(CellarError) as e:
            ask(lambda _, status=status: Answer(status))  # type: ignore[misc]
        shown += [str(e.value), repr(e.value), e.value.hint]
    assert not [text for text in shown if SECRET in text]


def test_a_host_without_ranges_is_asked_for_the_head() -> None:
    remote, host = ask(whole)
    assert remote.files[0].size_bytes == len(CONTENT)
    assert [request.method for request in host.received] == ["GET", "HEAD"]


def test_a_small_file_comes_whole() -> None:
    remote, host = ask(lambda _: Answer(200, {}, b"small"))
    assert remote.files[0].size_bytes == 5
    assert len(host.received) == 1


def test_an_empty_file() -> None:
    remote, _ = ask(lambda _: Answer(416, {"Content-Range": "bytes */0"}))
    assert remote.files[0].size_bytes == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Range": "bytes 0-0/*"},
        {"Content-Range": "bytes 0-0/-7"},
        {"Content-Range": "lines 0-0/7"},
        {"Content-Range": f"bytes 0-0/{10**18}"},
    ],
)
def test_a_host_that_does_not_tell_the_size(headers: dict[str, str]) -> None:
    def handler(request: Received) -> Answer:
        if request.method == "HEAD":
            return Answer(405)
        return Answer(206, headers, b"x")

    with pytest.raises(AnswerRefusedError, match="does not tell how large it is") as e:
        ask(handler)
    assert "cellar import" in e.value.hint


def test_a_compressed_length_is_no_size() -> None:
    compressed = Answer(200, {"Content-Encoding": "gzip", "Content-Length": "99999999"})
    with pytest.raises(AnswerRefusedError, match="does not tell how large it is"):
        ask(lambda _: compressed)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, SignInNeededError),
        (403, SignInNeededError),
        (404, NotPublishedError),
        (410, NotPublishedError),
        (400, AnswerRefusedError),
        (451, AnswerRefusedError),
    ],
)
def test_refusals(status: int, kind: type[CellarError]) -> None:
    with pytest.raises(kind, match=f"({status})") as e:
        ask(lambda _: Answer(status))
    assert e.value.hint
    assert "/a/toy.safetensors" in e.value.message


def test_a_page_is_no_file() -> None:
    def handler(_: Received) -> Answer:
        return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>log in</html>")

    with pytest.raises(AnswerRefusedError, match="is a page for people"):
        ask(handler)
    assert ask(handler, "/page.html")[0].files[0].path == "page.html"
    page = {"content-type": "text/html"}
    meant = WebFiles(NetworkManager()).refusal(200, page, repo_id=None, path="toy.bin")
    assert "toy.bin is a page for people" in meant.message


@pytest.mark.parametrize(
    "url",
    [
        "",
        "toy.safetensors",
        "ftp://host/x",
        "file:///etc/passwd",
        "https://",
        "https://user:hunter2@host/x",
        "http://example.org/x",
        "https://[broken/x",
    ],
)
def test_addresses_that_are_not_asked(url: str) -> None:
    with pytest.raises(UsageError) as e:
        asyncio.run(WebFiles(NetworkManager(offline=True)).remote(url, SHA256))
    assert e.value.hint
    assert "hunter2" not in e.value.message


@pytest.mark.parametrize("sha256", ["", "ab", "g" * 64, "ab" * 33, "ab" * 20])
def test_digests_that_are_none(sha256: str) -> None:
    with pytest.raises(UsageError, match="is no SHA-256"):
        ask(ranged, sha256=sha256)


@pytest.mark.parametrize("sha256", [SHA256.upper(), f"sha256:{SHA256}", f" {SHA256}\n"])
def test_digests_in_other_spellings(sha256: str) -> None:
    assert ask(ranged, sha256=sha256)[0].files[0].sha256 == SHA256


def test_a_fragment_is_not_sent() -> None:
    remote, host = ask(ranged, "/x.bin#fragment")
    assert remote.files[0].url == f"{host.origin}/x.bin"


def test_a_signed_link_on_another_host(fake_hub: FakeHub) -> None:
    """Its own address stays: where it leads to is asked anew each time, and has another name."""
    repo = fake_hub.add(FakeRepo("acme/toy", {"toy model.safetensors": CONTENT}))
    url = f"{fake_hub.hub_url}/acme/toy/resolve/main/toy%20model.safetensors"

    async def run() -> Remote:
        async with NetworkManager() as network:
            return await WebFiles(network).remote(url, SHA256)

    (file,) = asyncio.run(run()).files
    assert (file.path, file.url) == ("toy model.safetensors", url)
    assert file.size_bytes == len(CONTENT)
    assert repo.sha


NAMES: list[tuple[str, str]] = [
    ("attachment; filename=toy.bin", "toy.bin"),
    ('attachment; filename="toy model.bin"', "toy model.bin"),
    ('attachment; filename="a \\"b\\".bin"', "a _b_.bin"),
    ("attachment; filename*=UTF-8''t%C3%B6y%20m.bin", "töy m.bin"),
    ("attachment; filename*=iso-8859-1'en'%A3.bin", "£.bin"),
    ("attachment; filename=\"plain.bin\"; filename*=UTF-8''b%C3%A9st.bin", "bést.bin"),
    ("attachment; filename*=UTF-8''b%C3%A9st.bin; filename=plain.bin", "bést.bin"),
    ('inline; FILENAME = "x.gguf" ; size=3', "x.gguf"),
    ('attachment; filename="t\xc3\xb6y.bin"', "töy.bin"),
    ('attachment; filename="../../etc/passwd"', "passwd"),
    ('attachment; filename="C:\\\\temp\\\\x.bin"', "x.bin"),
    ("attachment; filename*=UTF-8''..%2F..%2Fx.bin", "x.bin"),
    ('attachment; filename="nul"', "nul_"),
    ('attachment; filename="a:b?.bin"', "a_b_.bin"),
    ('attachment; filename=".."', "last.bin"),
    ('attachment; filename=""', "last.bin"),
    ("attachment", "last.bin"),
    ("", "last.bin"),
]


@pytest.mark.parametrize(("header", "name"), NAMES)
def test_names(header: str, name: str) -> None:
    urls = ("https://host/", "https://host/a/last.bin?x=/y.bin")
    assert file_name({"content-disposition": header}, urls) == name


@pytest.mark.parametrize("url", ["https://host", "https://host/", "https://host/%2e%2e"])
def test_an_address_without_a_name(url: str) -> None:
    assert file_name({}, (url,)) == "download"


@given(st.text(max_size=40), st.sampled_from(["filename=", 'filename="', "filename*=UTF-8''"]))
def test_any_name_is_a_good_one(text: str, before: str) -> None:
    for headers, urls in (
        ({"content-disposition": f"attachment; {before}{text}"}, ()),
        ({}, (f"https://host/{text.replace('[', '')}",)),
    ):
        name = file_name(headers, urls)
        assert not naming.relative_path_problems(name)
        assert "/" not in name
