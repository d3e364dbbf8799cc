"""The log of requests, also when many come at once."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.fake_hub.contents import WEIGHTS
from tests.support.fake_hub import FakeHub, FakeRepo

LARGE = "/acme/toy/resolve/main/model.safetensors"


@pytest.mark.usefixtures("toy")
def test_what_a_download_leaves(fake_hub: FakeHub, client: httpx.Client) -> None:
    auth = {"Authorization": "Bearer hf_x", "X-HF-Download-Counter": "1"}
    fake_hub.add_token("hf_x")
    client.get(LARGE, headers={**auth, "Range": "bytes=0-"}, follow_redirects=True)
    first, second = fake_hub.log.entries
    assert (first.site, first.method, first.path, first.status) == ("hub", "GET", LARGE, 302)
    assert first.authorization == "Bearer hf_x"
    assert first.host == fake_hub.hub_url.removeprefix("http://")
    assert (second.site, second.status, second.range) == ("cdn", 206, "bytes=0-")
    assert (second.sent_bytes, second.is_complete) == (len(WEIGHTS), True)
    assert second.label == "acme/toy/model.safetensors"
    assert second.headers["x-hf-download-counter"] == "1"
    assert "Expires" in dict(second.query)
    assert second.authorization is None
    assert second.line == "GET cdn acme/toy/model.safetensors 206 10240"
    assert fake_hub.log.bytes_sent("cdn") == len(WEIGHTS)


@pytest.mark.usefixtures("toy")
def test_a_head_sends_no_body(fake_hub: FakeHub, client: httpx.Client) -> None:
    client.head(LARGE)
    assert [(entry.sent_bytes, entry.is_complete) for entry in fake_hub.log.entries] == [(0, True)]


@pytest.mark.usefixtures("toy")
def test_forgotten_requests_stay_forgotten(fake_hub: FakeHub, client: httpx.Client) -> None:
    client.get(LARGE)
    fake_hub.log.clear()
    assert not fake_hub.log.of("hub")
    client.get("/api/models")
    assert [entry.path for entry in fake_hub.log.entries] == ["/api/models"]


def test_many_clients_at_once(fake_hub: FakeHub) -> None:
    contents = {f"{number}.bin": bytes([number]) * 200_000 for number in range(8)}
    fake_hub.add(FakeRepo("acme/many", contents))

    def fetch(name: str) -> bool:
        url = f"{fake_hub.hub_url}/acme/many/resolve/main/{name}"
        with httpx.Client(follow_redirects=True, trust_env=False) as client:
            return all(client.get(url).content == contents[name] for _ in range(5))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(fetch, contents))
    log = fake_hub.log
    assert len(log.of("hub")) == len(log.of("cdn")) == 40
    assert log.bytes_sent("cdn") == 40 * 200_000
    left = {entry.status for entry in log.entries}
    assert left == {302, 200}
    after = httpx.get(f"{fake_hub.hub_url}/acme/many/resolve/main/0.bin")
    assert after.headers["RateLimit"] == '"resolvers";r=2959;t=300'


def test_everything_is_gone_afterwards() -> None:
    with FakeHub() as fake:
        urls = (fake.hub_url, fake.cdn_url, fake.civitai_url, fake.civarchive_url)
        assert len(set(urls)) == 4
        for url in urls:
            assert httpx.get(f"{url}/x").status_code in {200, 401, 403, 404}
    for url in urls:
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/x")
