"""Answers that are wrong: statuses, redirects, headers, content; and which requests are hit."""

from collections.abc import Callable, Mapping

import httpx
import pytest

from tests.fake_hub.contents import WEIGHTS
from tests.support.fake_hub import (
    Do,
    Empty,
    FakeHub,
    FakeRepo,
    Fault,
    FlippedByte,
    GzipAnyway,
    Header,
    Multipart,
    OtherContent,
    Portal,
    RangeIgnored,
    RangeRefused,
    RangeShort,
    RangeWithStatus200,
    RangeWrong,
    Redirect,
    RedirectChain,
    Replaced,
    Status,
    TooMany,
    WeakEtag,
    Without,
)

Link = Callable[[], str]
LARGE = "/acme/toy/resolve/main/model.safetensors"
PART = {"Range": "bytes=100-199"}


def statuses(client: httpx.Client, path: str, count: int) -> list[int]:
    return [client.get(path).status_code for _ in range(count)]


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("nth", "times", "expected"),
    [
        (1, 1, [503, 200, 200, 200]),
        (2, 1, [200, 503, 200, 200]),
        (2, 2, [200, 503, 503, 200]),
        (3, None, [200, 200, 503, 503]),
    ],
)
def test_which_requests_are_hit(
    fake_hub: FakeHub, client: httpx.Client, nth: int, times: int | None, expected: list[int]
) -> None:
    rule = fake_hub.chaos.add(Status(503), nth=nth, times=times)
    assert statuses(client, "/api/models/acme/toy", 4) == expected
    assert (rule.seen, rule.hits) == (4, expected.count(503))
    fake_hub.chaos.remove(rule)
    assert statuses(client, "/api/models/acme/toy", 1) == [200]


def test_a_rule_is_for_a_host_a_path_and_a_method(
    fake_hub: FakeHub, client: httpx.Client, link: Link
) -> None:
    url = link()
    fake_hub.chaos.add(Status(500), host="civitai", times=None)
    fake_hub.chaos.add(Status(502), path="*/refs", times=None)
    fake_hub.chaos.add(Status(503), method="HEAD", host="hub", times=None)
    fake_hub.chaos.add(Status(504), path="acme/toy/*.safetensors", times=None)
    assert client.get("/api/models/acme/toy").status_code == 200
    assert client.get(f"{fake_hub.civitai_url}/x").status_code == 500
    assert client.get("/api/models/acme/toy/refs").status_code == 502
    assert client.head("/api/models/acme/toy").status_code == 503
    assert client.get(url).status_code == 504
    fake_hub.chaos.clear()
    assert client.head(url).status_code == 200


@pytest.mark.parametrize("status", [401, 403, 404, 500, 502, 503, 504])
def test_an_error_of_the_edge_is_a_page(
    fake_hub: FakeHub, client: httpx.Client, status: int
) -> None:
    fake_hub.chaos.add(Status(status, headers={"Server": "edge"}))
    answer = client.get("/api/models")
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Server"] == "edge"
    assert "<html>" in answer.text
    assert "RateLimit" not in answer.headers


def test_too_many_in_its_forms(fake_hub: FakeHub, client: httpx.Client) -> None:
    forms: list[tuple[TooMany, Mapping[str, str]]] = [
        (TooMany(), {}),
        (TooMany.quota(7), {"RateLimit": '"api";r=0;t=7'}),
        (TooMany.retry_after(3), {"Retry-After": "3"}),
        (TooMany.retry_after(3, left=9), {"Retry-After": "3", "RateLimit": '"api";r=9;t=120'}),
        (
            TooMany.retry_at(fake_hub.clock, 60),
            {"Retry-After": "Wed, 04 Mar 2026 05:06:00 GMT"},
        ),
    ]
    for fault, expected in forms:
        fake_hub.chaos.add(fault)
        answer = client.get("/api/models")
        assert answer.status_code == 429
        assert "HF_TOKEN" in answer.text
        shown = {name: answer.headers.get(name) for name in ("Retry-After", "RateLimit")}
        assert {name: value for name, value in shown.items() if value} == expected


@pytest.mark.usefixtures("toy")
def test_redirects(fake_hub: FakeHub, client: httpx.Client) -> None:
    for place in (f"{fake_hub.elsewhere_url}/x", "/api/models", "https://localhost:1/", "ftp://a/"):
        fake_hub.chaos.add(Redirect(place))
        answer = client.get(LARGE)
        assert (answer.status_code, answer.headers["location"]) == (302, place)
    abroad = client.get(f"{fake_hub.elsewhere_url}/x", headers={"Authorization": "Bearer hf_x"})
    assert abroad.status_code == 200
    assert [entry.site for entry in fake_hub.log.leaks] == ["elsewhere"]
    fake_hub.log.clear()


@pytest.mark.usefixtures("toy")
def test_a_chain_ends_and_a_loop_does_not(fake_hub: FakeHub, client: httpx.Client) -> None:
    rule = fake_hub.chaos.add(RedirectChain(3), times=None)
    answer = client.get("/api/models?search=toy", follow_redirects=True)
    assert [model["id"] for model in answer.json()] == ["acme/toy"]
    assert [past.status_code for past in answer.history] == [307] * 3
    fake_hub.chaos.remove(rule)
    fake_hub.chaos.add(RedirectChain(), times=None)
    with pytest.raises(httpx.TooManyRedirects):
        client.get("/api/models", follow_redirects=True)


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    "name", ["X-Linked-Size", "X-Linked-ETag", "X-Repo-Commit", "Accept-Ranges", "ETag"]
)
def test_a_header_is_missing(fake_hub: FakeHub, client: httpx.Client, name: str) -> None:
    whole = client.head(LARGE).headers
    fake_hub.chaos.add(Without(name))
    assert set(whole) - set(client.head(LARGE).headers) == {name.lower()}


@pytest.mark.usefixtures("toy")
def test_other_headers(fake_hub: FakeHub, client: httpx.Client) -> None:
    strong = client.head(LARGE).headers["X-Linked-ETag"]
    fake_hub.chaos.add(WeakEtag(), Header("x-repo-commit", "other"))
    changed = client.head(LARGE).headers
    assert changed["X-Linked-ETag"] == f"W/{strong}"
    assert changed["X-Repo-Commit"] == "other"


def changed_places(content: bytes, start: int = 0) -> list[int]:
    original = WEIGHTS[start : start + len(content)]
    return [start + place for place, value in enumerate(content) if value != original[place]]


def test_a_flipped_byte(fake_hub: FakeHub, client: httpx.Client, link: Link) -> None:
    fake_hub.chaos.add(FlippedByte(150), host="cdn", times=None)
    whole = client.get(link())
    assert changed_places(whole.content) == [150]
    assert len(whole.content) == len(WEIGHTS)
    assert changed_places(client.get(link(), headers=PART).content, 100) == [150]
    assert client.get(link(), headers={"Range": "bytes=151-"}).content == WEIGHTS[151:]


def test_other_content_of_the_same_size(
    fake_hub: FakeHub, client: httpx.Client, link: Link
) -> None:
    fake_hub.chaos.add(OtherContent(), host="cdn", times=2)
    whole = client.get(link()).content
    assert changed_places(whole) == list(range(len(WEIGHTS)))
    assert client.get(link(), headers=PART).content == whole[100:200]


def test_other_content_of_another_size(fake_hub: FakeHub, client: httpx.Client, link: Link) -> None:
    fake_hub.chaos.add(Replaced(b"x" * 150, etag="other"), host="cdn", times=2)
    part = client.get(link(), headers=PART)
    assert (part.status_code, part.content) == (206, b"x" * 50)
    assert part.headers["Content-Range"] == "bytes 100-149/150"
    assert part.headers["ETag"] == '"other"'
    assert client.get(link()).headers["Content-Length"] == "150"


def test_a_portal_and_nothing(fake_hub: FakeHub, client: httpx.Client, link: Link) -> None:
    fake_hub.chaos.add(Portal(), host="cdn")
    page = client.get(link())
    assert page.status_code == 200
    assert page.text.startswith("<!DOCTYPE html>")
    fake_hub.chaos.add(Empty(), host="cdn")
    nothing = client.get(link())
    assert (nothing.status_code, nothing.content) == (200, b"")
    assert nothing.headers["Content-Length"] == "0"


@pytest.mark.parametrize(
    ("fault", "status", "content_range", "content"),
    [
        (RangeIgnored(), 200, None, WEIGHTS),
        (RangeWrong(start_by=1), 206, "bytes 101-200/10240", WEIGHTS[100:200]),
        (RangeWrong(total_by=-1), 206, "bytes 100-199/10239", WEIGHTS[100:200]),
        (RangeRefused(), 416, "bytes */10240", b""),
        (RangeShort(10), 206, "bytes 100-109/10240", WEIGHTS[100:110]),
        (RangeWithStatus200(), 200, "bytes 100-199/10240", WEIGHTS[100:200]),
        (GzipAnyway(), 200, None, WEIGHTS),
    ],
)
def test_ranges_gone_wrong(
    fake_hub: FakeHub, client: httpx.Client, link: Link, fault: Fault, status: int,
    content_range: str | None, content: bytes,
) -> None:  # fmt: skip
    fake_hub.chaos.add(fault, host="cdn")
    answer = client.get(link(), headers=PART)
    assert (answer.status_code, answer.headers.get("Content-Range")) == (status, content_range)
    assert answer.content == content
    is_gzip = answer.headers.get("Content-Encoding") == "gzip"
    assert is_gzip == isinstance(fault, GzipAnyway)


def test_a_part_in_an_envelope(fake_hub: FakeHub, client: httpx.Client, link: Link) -> None:
    fake_hub.chaos.add(Multipart(), host="cdn")
    answer = client.get(link(), headers=PART)
    assert answer.status_code == 206
    assert answer.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert "Content-Range" not in answer.headers
    assert b"Content-Range: bytes 100-199/10240\r\n\r\n" + WEIGHTS[100:200] in answer.content


def test_things_happen_between_requests(
    fake_hub: FakeHub, client: httpx.Client, toy: FakeRepo
) -> None:
    first = toy.sha
    late = Do(lambda: toy.commit({"a.txt": b"1"}), late=True)
    fake_hub.chaos.add(late, method="HEAD", path="*/resolve/*")
    assert client.head(LARGE).headers["X-Repo-Commit"] == first
    second = client.head(LARGE).headers["X-Repo-Commit"]
    assert second == toy.sha != first

    def gate() -> None:
        toy.gated = "manual"

    fake_hub.chaos.add(Do(gate), method="GET")
    assert client.get(LARGE).headers["X-Error-Code"] == "GatedRepo"
